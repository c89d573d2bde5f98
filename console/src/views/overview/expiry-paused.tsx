import { useState } from 'react';
import { Link } from 'wouter';
import { useAnswer } from '../../api/asked';
import { type Job, readScheduler, resumeJob } from '../../api/scheduler';
import { useMay } from '../../api/viewer';
import { Icon } from '../../pieces/icon';
import { Time } from '../../pieces/times';
import { EXPIRY_JOB } from '../scheduler/names';

const READ_MS = 5_000;

/** The job that frees lapsed holds, where it is paused; null where it is not, or not known. */
export function usePausedExpiry(): { job: Job | null; again: () => void } {
  const { value, again } = useAnswer('scheduler', readScheduler, READ_MS);
  return { job: value?.jobs.find(({ id, paused }) => id === EXPIRY_JOB && paused) ?? null, again };
}

/** Loud, as seats stay blocked for as long as this stands. */
export function ExpiryPaused({ job, onResumed }: { job: Job; onResumed: () => void }) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const mayResume = useMay('jobs:write');
  const resume = async (): Promise<void> => {
    const { problem } = await resumeJob(job.id);
    setTrouble(problem?.detail ?? null);
    onResumed();
  };
  return (
    <div className="banner loud hazard" role="alert">
      <Icon name="stuck" />
      <p>
        <strong>Lapsed holds are not freed.</strong>{' '}
        <span>
          The job is paused{job.pausedBy !== null && ` by ${job.pausedBy}`}
          {job.pausedAt !== null && (
            <>
              {' '}
              since <Time at={job.pausedAt} />
            </>
          )}
          ; seats stay blocked until it goes on. <Link href="/saga/scheduler">Scheduler</Link> {trouble}
        </span>
      </p>
      {mayResume && (
        <button type="button" className="btn primary" onClick={() => void resume()}>
          Resume
        </button>
      )}
    </div>
  );
}
