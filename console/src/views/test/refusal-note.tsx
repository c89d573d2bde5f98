import { useNow } from '../../api/clock';
import { duration } from '../../pieces/format';
import type { Refusal } from './refusal';

/** What a refusal means and what to do; in the line's place, and of its size. `onHold`: asks for a hold instead. */
export function RefusalNote({
  refusal,
  onAgain,
  onHold,
}: {
  refusal: Refusal;
  onAgain: (() => void) | null;
  onHold: () => void;
}) {
  return (
    <div className="refusal" role="alert">
      <p className="api">{refusal.code}</p>
      <p>{refusal.advice}</p>
      {refusal.logId !== null && (
        <p>
          The log knows this as <span className="mono">{refusal.logId}</span>.
        </p>
      )}
      {refusal.code === 'PaymentsUnavailableError' && (
        <button type="button" className="btn primary" onClick={onHold}>
          Hold the seats first
        </button>
      )}
      {onAgain && <Again retryAt={refusal.retryAt} onAgain={onAgain} />}
    </div>
  );
}

/** Rests until the server would take the request. */
function Again({ retryAt, onAgain }: { retryAt: number | null; onAgain: () => void }) {
  useNow();
  const left = retryAt === null ? 0 : retryAt - Date.now();
  const isWaiting = left > 0;
  return (
    <button type="button" className="btn" aria-disabled={isWaiting} onClick={() => !isWaiting && onAgain()}>
      {isWaiting ? `Send again in ${duration(Math.ceil(left / 1_000) * 1_000)}` : 'Send again'}
    </button>
  );
}
