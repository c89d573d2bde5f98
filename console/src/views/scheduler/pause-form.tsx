import { useState } from 'react';
import { useIsLive } from '../../api/connection';
import { type Job, pauseJob } from '../../api/scheduler';
import { RowForm } from './row-form';

const REASON_CHARACTERS_MAX = 500;

/** Why a job is paused, in the row. What the server refuses is said in its words. */
export function PauseForm({ job, onPaused, onClose }: { job: Job; onPaused: () => void; onClose: () => void }) {
  const [isBusy, setIsBusy] = useState(false);
  const isLive = useIsLive();
  const pause = async (reason: string): Promise<string | null> => {
    if (reason === '') return 'Say why: the reason is kept in the record of operator actions.';
    setIsBusy(true);
    const answer = await pauseJob(job.id, reason);
    setIsBusy(false);
    if (answer.problem) return answer.problem.detail;
    onPaused();
    return null;
  };
  return (
    <RowForm
      name="Pause"
      className="every pausing"
      label="Reason, required"
      field={{ required: true, maxLength: REASON_CHARACTERS_MAX }}
      submit={
        <button type="submit" className="btn danger" disabled={isBusy || !isLive}>
          Pause
        </button>
      }
      send={pause}
      onClose={onClose}
    />
  );
}
