import { useState } from 'react';
import { type BulkAction, BulkActionNow, StopBulkAction } from '../../api/bulk.graphql';
import { client, troubleOf } from '../../api/client';
import { useIsLive } from '../../api/connection';
import { useLive } from '../../api/live';
import { useMay } from '../../api/viewer';
import { count, duration, plural } from '../../pieces/format';
import { Badge } from '../../saga/badge';
import { type StateName, stateOfSaga } from '../../saga/states';
import { statusWord } from '../../saga/words';
import './bulk.css';

const STATES: Readonly<Record<string, readonly [StateName, string]>> = {
  RUNNING: ['running', 'Under way'],
  STOPPED: ['skipped', 'Stopped'],
  DONE: ['completed', 'Done'],
};

/** How far a bulk action is, live until it is over; then its report. */
export function Progress({ action: given }: { action: BulkAction }) {
  const [news, setNews] = useState<BulkAction | null>(null);
  const isFollowed = given.status === 'RUNNING';
  useLive(BulkActionNow, isFollowed ? { id: given.id } : null, (data) => setNews(data.bulkAction));
  const action = isFollowed ? (news ?? given) : given;
  const [state, word] = STATES[action.status] ?? ['pending', action.status];
  const handled = action.done + action.passedOver;
  return (
    <div className="progress">
      <div className="report">
        <Badge state={state} word={word} />
        <span role="status">{handledSaid(action)}</span>
        {action.status === 'RUNNING' && <StopButton id={action.id} onStopped={setNews} />}
      </div>
      <svg width="100%" height="8" role="img" aria-label={`${handled} of ${action.matched} handled`}>
        <rect width="100%" height="8" rx="4" className="well" />
        <rect width={part(action.done, action.matched)} height="8" rx="4" className="done" />
        <rect
          x={part(action.done, action.matched)}
          width={part(action.passedOver, action.matched)}
          height="8"
          className="over"
        />
      </svg>
      {action.byStatus.length > 0 && (
        <p className="report">
          <span className="quiet">Now:</span>
          {action.byStatus.map(({ status, count: number }) => (
            <Badge key={status} state={stateOfSaga(status)} word={`${count(number)} ${statusWord(status)}`} />
          ))}
        </p>
      )}
      {action.passedOverBecause.map(({ reason, sagas }) => (
        <p key={reason} className="quiet">
          {plural(sagas, 'saga')} passed over: {reason}
        </p>
      ))}
    </div>
  );
}

function part(number: number, all: number): string {
  return `${all === 0 ? 0 : (100 * number) / all}%`;
}

function handledSaid({ status, matched, done, passedOver, sagasPerSecond }: BulkAction): string {
  const said = `${count(done)} of ${plural(matched, 'saga')} done${passedOver > 0 ? `, ${count(passedOver)} passed over` : ''}`;
  const left = matched - done - passedOver;
  if (status === 'STOPPED') return `${said}; ${count(left)} were left as they were.`;
  if (status !== 'RUNNING' || left <= 0) return `${said}.`;
  return `${said}; about ${duration((1_000 * left) / sagasPerSecond)} left.`;
}

/** Stops it for all sagas that have not had their turn. */
function StopButton({ id, onStopped }: { id: string; onStopped: (action: BulkAction) => void }) {
  const [isBusy, setIsBusy] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const isLive = useIsLive();
  const mayMend = useMay('sagas:mend');
  const stop = async (): Promise<void> => {
    setIsBusy(true);
    const { data, error } = await client.mutation(StopBulkAction, { id }).toPromise();
    setIsBusy(false);
    const action = data?.stopBulkAction?.bulkAction;
    if (action) onStopped(action);
    else setTrouble(error ? troubleOf(error).message : (data?.stopBulkAction?.errors[0]?.message ?? null));
  };
  if (!mayMend) return null;
  return (
    <>
      <button type="button" className="btn small danger" disabled={isBusy || !isLive} onClick={() => void stop()}>
        Stop
      </button>
      {trouble !== null && <span role="alert">{trouble}</span>}
    </>
  );
}
