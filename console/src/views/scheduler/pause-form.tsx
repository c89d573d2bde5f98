import { useEffect, useId, useRef, useState } from 'react';
import { useIsLive } from '../../api/connection';
import { type Job, pauseJob } from '../../api/scheduler';

const REASON_CHARACTERS_MAX = 500;

/** Why a job is paused, in the row: Enter pauses, Escape cancels. What the server refuses is said in its words. */
export function PauseForm({ job, onPaused, onClose }: { job: Job; onPaused: () => void; onClose: () => void }) {
  const [reason, setReason] = useState('');
  const [trouble, setTrouble] = useState<string | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const isLive = useIsLive();
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  useEffect(() => field.current?.focus(), []);
  const pause = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    if (reason.trim() === '') {
      setTrouble('Say why: the reason is kept in the record of operator actions.');
    } else {
      setIsBusy(true);
      const answer = await pauseJob(job.id, reason.trim());
      setIsBusy(false);
      if (!answer.problem) return onPaused();
      setTrouble(answer.problem.detail);
    }
    field.current?.focus();
    return undefined;
  };
  return (
    <form
      className="every pausing"
      aria-label="Pause"
      noValidate
      onSubmit={(event) => void pause(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <label htmlFor={`${id}-field`}>Reason, required</label>
      <input
        className="input"
        id={`${id}-field`}
        ref={field}
        required
        maxLength={REASON_CHARACTERS_MAX}
        autoComplete="off"
        value={reason}
        aria-invalid={trouble !== null}
        aria-describedby={`${id}-trouble`}
        onChange={(event) => setReason(event.target.value)}
      />
      <button type="submit" className="btn danger" disabled={isBusy || !isLive}>
        Pause
      </button>
      <button type="button" className="btn plain" onClick={onClose}>
        Cancel
      </button>
      <p className="trouble" id={`${id}-trouble`} role="alert">
        {trouble}
      </p>
    </form>
  );
}
