import type { Job, JobRun } from '../../api/scheduler';
import { duration } from '../../pieces/format';
import { Time } from '../../pieces/times';
import { Badge } from '../../saga/badge';
import { affectedOf, EXPIRY_JOB, outcomeOf } from './names';

/** What the job does now, or did last. */
export function LastRun({ job }: { job: Job }) {
  if (job.running) return <Said badge={<Badge state="executing" word="Running" />}>under way on this replica</Said>;
  if (job.paused) return <Paused job={job} />;
  if (job.lastRun === null)
    return <Said badge={<Badge state="pending" word="No run yet" />}>begins when it is due</Said>;
  return (
    <Said badge={<Badge {...saying(job, job.lastRun)} />}>
      <Time at={job.lastRun.startedAt} />, took {duration(job.lastRun.durationMs)}
    </Said>
  );
}

function Paused({ job }: { job: Job }) {
  return (
    <Said badge={<Badge state="skipped" word="Paused" />}>
      {job.pausedBy === null ? 'by an operator' : `by ${job.pausedBy}`}
      {job.pausedAt !== null && (
        <>
          , since <Time at={job.pausedAt} />
        </>
      )}
      {job.id === EXPIRY_JOB && <strong>Lapsed holds are not freed.</strong>}
    </Said>
  );
}

function Said({ badge, children }: { badge: React.ReactNode; children: React.ReactNode }) {
  return (
    <div className="last">
      {badge}
      <small>{children}</small>
    </div>
  );
}

function saying(job: Job, run: JobRun) {
  const { state, word } = outcomeOf(run);
  return { state, word: run.outcome === 'OK' && run.affected ? affectedOf(job.id, run) : word };
}
