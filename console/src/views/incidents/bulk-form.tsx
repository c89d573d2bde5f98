import { useCallback, useEffect, useId, useMemo, useState } from 'react';
import { type BulkAction, StartBulkAction } from '../../api/bulk.graphql';
import { client, troubleOf } from '../../api/client';
import { useIsLive } from '../../api/connection';
import type { BulkActionKind, StartBulkActionInput } from '../../api/generated/graphql';
import type { Incident } from '../../api/incidents.graphql';
import { type Said, SaidBack } from '../../operator/said-back';
import { stakeSaid } from '../../operator/stake';
import { duration, plural } from '../../pieces/format';
import { plainName } from '../../saga/words';
import { verbOf } from '../bulk/words';
import { filterOf } from './cause';

const REASON_CHARACTERS_MAX = 500;
const PACE_DEFAULT = 10;
const PACE_MAX = 1_000;

/**
 * Does one thing to all sagas of an incident. It counts them first; the server refuses to start if their number has
 * changed since.
 */
export function BulkForm({
  incident,
  kind,
  onStarted,
  onClose,
}: {
  incident: Incident;
  kind: BulkActionKind;
  onStarted: (action: BulkAction) => void;
  onClose: () => void;
}) {
  const [matched, setMatched] = useState<number | null>(null);
  const [pace, setPace] = useState(String(PACE_DEFAULT));
  const [reason, setReason] = useState('');
  const [said, setSaid] = useState<Said | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const isLive = useIsLive();
  const hint = useId();
  const asked = inputOf(incident, kind);
  // One key as long as the form says the same: a start whose answer was lost is sent again and begins nothing twice.
  const idempotencyKey = useMemo(() => crypto.randomUUID(), [reason, pace, matched]);
  const count = useCallback(async (): Promise<void> => {
    const answer = await startedBy({ ...inputOf(incident, kind), reason: 'Counted only.', dryRun: true });
    setMatched(answer.matched);
    if (answer.trouble !== null) setSaid({ tone: 'error', text: answer.trouble });
  }, [incident, kind]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, as it opens; the incident is read anew all the time.
  useEffect(() => void count(), []);
  const sagasPerSecond = Number(pace);
  const start = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    const fault = faultOf(reason, sagasPerSecond);
    if (fault !== null) return setSaid({ tone: 'error', text: fault });
    setIsBusy(true);
    const answer = await startedBy({
      ...asked,
      reason: reason.trim(),
      sagasPerSecond,
      expected: matched,
      idempotencyKey,
    });
    setIsBusy(false);
    if (answer.action !== null) return onStarted(answer.action);
    setSaid({ tone: 'error', text: answer.trouble ?? 'No saga matches any more.' });
    // The number is another now: it is looked at before the next try.
    await count();
    return undefined;
  };
  const word = verbOf(kind);
  return (
    <form
      className="skip-form bulk-form"
      noValidate
      aria-label={`${word} the sagas of this incident`}
      onSubmit={(event) => void start(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <p className="counted" role="status">
        {matched === null ? 'Counting.' : `${plural(matched, 'saga matches', 'sagas match')} now.`}
      </p>
      <p>{consequenceOf(incident, kind)}</p>
      <div className="pair">
        <label className="field">
          <span>Sagas a second</span>
          <input
            className="input"
            inputMode="numeric"
            value={pace}
            onChange={(event) => setPace(event.target.value)}
            aria-describedby={hint}
          />
        </label>
        <label className="field">
          <span>Reason, required</span>
          <input
            className="input"
            required
            autoFocus
            autoComplete="off"
            maxLength={REASON_CHARACTERS_MAX}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
            aria-describedby={hint}
          />
        </label>
      </div>
      <div id={hint}>
        <SaidBack said={said} />
      </div>
      <div className="two">
        <button
          type="submit"
          className={kind === 'RETRY' || kind === 'UNPARK' ? 'btn primary' : 'btn danger'}
          disabled={isBusy || !isLive || matched === null || matched === 0}
        >
          {word} {matched === null ? 'them' : plural(matched, 'saga')}
        </button>
        <button type="button" className="btn plain" onClick={onClose}>
          Leave them
        </button>
        {matched !== null && matched > 0 && sagasPerSecond > 0 && (
          <span className="quiet">takes about {duration((1_000 * matched) / sagasPerSecond)}</span>
        )}
      </div>
    </form>
  );
}

function inputOf(incident: Incident, kind: BulkActionKind) {
  return { kind, filter: filterOf(incident), ...(kind === 'SKIP' && { step: incident.step }) };
}

function faultOf(reason: string, sagasPerSecond: number): string | null {
  if (!Number.isInteger(sagasPerSecond) || sagasPerSecond < 1 || sagasPerSecond > PACE_MAX) {
    return `Give a pace of 1 to ${PACE_MAX} sagas a second.`;
  }
  return reason.trim() === '' ? 'Say why: the reason is kept in the record of operator actions.' : null;
}

/** What it means for customers, with the sums at stake, before anything is done. */
export function consequenceOf(incident: Incident, kind: BulkActionKind): string {
  const { step, compensation, money, points, seats } = incident;
  const stake = stakeSaid(money, points, seats);
  switch (kind) {
    case 'SKIP': {
      const what = plainName(compensation ?? step ?? 'the step');
      const left = stake === '' ? 'Nothing is at stake.' : `Left behind: ${stake}.`;
      return `${what} is given up for good in each of them. ${left} They end ABANDONED and stay to be settled by hand.`;
    }
    case 'CANCEL':
      return `Each of them stops and undoes what it did: customers lose their bookings.${stake === '' ? '' : ` At stake: ${stake}.`}`;
    default:
      return 'Each of them is tried now, at this pace, beside what customers do. Nothing is done twice.';
  }
}

interface Answer {
  readonly action: BulkAction | null;
  readonly matched: number | null;
  readonly trouble: string | null;
}

async function startedBy(input: StartBulkActionInput): Promise<Answer> {
  const { data, error } = await client.mutation(StartBulkAction, { input }).toPromise();
  if (error) return { action: null, matched: null, trouble: troubleOf(error).message };
  const payload = data?.startBulkAction;
  return {
    action: payload?.bulkAction ?? null,
    matched: payload?.matched ?? null,
    trouble: payload?.errors[0]?.message ?? null,
  };
}
