import { changeInterval, type Job } from '../../api/scheduler';
import { RowForm } from './row-form';

/** A new interval, in the row. What the server refuses is said in its words. */
export function IntervalForm({
  job,
  onSaved,
  onClose,
}: {
  job: Job;
  onSaved: (job: Job) => void;
  onClose: () => void;
}) {
  const save = async (text: string): Promise<string | null> => {
    const seconds = Number(text);
    if (!Number.isInteger(seconds) || text === '') return 'Give a whole number of seconds.';
    const answer = await changeInterval(job.id, seconds);
    if (answer.problem) return answer.problem.detail;
    onSaved(answer.value);
    return null;
  };
  return (
    <RowForm
      name="New interval"
      className="every"
      label="Every"
      start={String(job.intervalSeconds)}
      isSelected
      field={{ inputMode: 'numeric' }}
      unit={<>s </>}
      submit={
        <button type="submit" className="btn primary">
          Save
        </button>
      }
      send={save}
      onClose={onClose}
    />
  );
}
