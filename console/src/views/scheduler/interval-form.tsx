import { useEffect, useId, useRef, useState } from 'react';
import { changeInterval, type Job } from '../../api/scheduler';

/** A new interval, in the row: Enter saves, Escape cancels. What the server refuses is said in its words. */
export function IntervalForm({
  job,
  onSaved,
  onClose,
}: {
  job: Job;
  onSaved: (job: Job) => void;
  onClose: () => void;
}) {
  const [text, setText] = useState(String(job.intervalSeconds));
  const [trouble, setTrouble] = useState<string | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const id = useId();
  useEffect(() => field.current?.select(), []);
  const save = async (event: React.SyntheticEvent): Promise<void> => {
    event.preventDefault();
    const seconds = Number(text.trim());
    if (!Number.isInteger(seconds) || text.trim() === '') {
      setTrouble('Give a whole number of seconds.');
    } else {
      const answer = await changeInterval(job.id, seconds);
      if (!answer.problem) return onSaved(answer.value);
      setTrouble(answer.problem.detail);
    }
    field.current?.select();
    return undefined;
  };
  return (
    <form
      className="every"
      aria-label="New interval"
      noValidate
      onSubmit={(event) => void save(event)}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <label htmlFor={`${id}-field`}>Every</label>
      <input
        className="input"
        id={`${id}-field`}
        ref={field}
        inputMode="numeric"
        autoComplete="off"
        value={text}
        aria-invalid={trouble !== null}
        aria-describedby={`${id}-trouble`}
        onChange={(event) => setText(event.target.value)}
      />
      s{' '}
      <button type="submit" className="btn primary">
        Save
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
