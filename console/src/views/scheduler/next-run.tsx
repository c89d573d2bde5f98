import { useNow } from '../../api/clock';
import type { Job } from '../../api/scheduler';
import { left } from '../../pieces/format';
import { interval } from './names';

const RADIUS = 20;
const ROUND = 2 * Math.PI * RADIUS;

/** When the job runs next, as a ring that empties and a number that counts down; "now" where it is due. */
export function NextRun({ job }: { job: Job }) {
  const now = useNow();
  const milliseconds = job.nextRunAt === null ? null : Math.max(0, Date.parse(job.nextRunAt) - now);
  const share = milliseconds === null ? 0 : Math.min(1, milliseconds / (job.intervalSeconds * 1_000));
  return (
    <div className="next">
      <svg viewBox="0 0 48 48" width="48" height="48" className="ring" aria-hidden="true">
        <circle cx="24" cy="24" r={RADIUS} />
        {!job.paused && (
          <circle
            cx="24"
            cy="24"
            r={RADIUS}
            className="p"
            strokeDasharray={`${share * ROUND} ${ROUND}`}
            transform="rotate(-90 24 24)"
          />
        )}
      </svg>
      <span>
        <b>{saying(job, milliseconds)}</b>
        <span>
          {job.paused ? `every ${interval(job.intervalSeconds)} when on` : `every ${interval(job.intervalSeconds)}`}
        </span>
      </span>
    </div>
  );
}

function saying(job: Job, milliseconds: number | null): string {
  if (job.paused) return 'paused';
  if (job.running || milliseconds === 0) return 'now';
  return milliseconds === null ? 'not here' : left(milliseconds);
}
