import { useSearchParams } from 'wouter';
import { useAnswer } from '../../api/asked';
import { type Job, readRuns, readScheduler, type SchedulerState } from '../../api/scheduler';
import { ProblemSaid } from '../../operator/problem-said';
import { plural } from '../../pieces/format';
import { Loading } from '../../pieces/notices';
import { Badge } from '../../saga/badge';
import { useTitle } from '../../shell/route-focus';
import { JobRow } from './job-row';
import { RunsPanel } from './runs-panel';
import './scheduler.css';

const READ_MS = 2_000;
const RUNS_SHOWN = 20;
const RUNS_MAX = 100;
/** As many as a row draws. */
const RUNS_READ = 30;

/** The scheduler's jobs and their runs; a job is told to run, to pause, to go on, or how often to run. */
export function SchedulerView() {
  useTitle('Scheduler');
  const { value, problem, again } = useAnswer('scheduler', readScheduler, READ_MS);
  return (
    <>
      <div className="head">
        <div>
          <h1>Scheduler</h1>
          <p>{value === null ? 'Changes here reach every replica.' : lead(value)}</p>
        </div>
        {value !== null && (
          <div className="end">
            <Badge
              {...(value.running
                ? { state: 'completed', word: 'Scheduler on' }
                : { state: 'failed', word: 'Scheduler off' })}
            />
          </div>
        )}
      </div>
      {problem !== null && !(problem.status === 0 && value !== null) && (
        <ProblemSaid
          problem={problem}
          meaning={value === null ? 'The jobs could not be read.' : 'The shown data may be outdated.'}
          onRetry={again}
        />
      )}
      {value === null ? (
        problem === null && (
          <section className="panel">
            <Loading what="the jobs" rows={9} />
          </section>
        )
      ) : (
        <Jobs jobs={value.jobs} onChanged={again} />
      )}
    </>
  );
}

function lead({ jobs }: SchedulerState): string {
  const paused = jobs.filter((job) => job.paused).length;
  return `${plural(jobs.length, 'job')}, ${paused === 0 ? 'none paused' : `${paused} paused`}. Changes here reach every replica.`;
}

/** The chosen job is in the URL, and how many of its runs. */
function Jobs({ jobs, onChanged }: { jobs: readonly Job[]; onChanged: () => void }) {
  const [params, setParams] = useSearchParams();
  const chosen = jobs.find((job) => job.id === params.get('job')) ?? jobs[0];
  const isAll = params.get('runs') === 'all';
  const set = (job: string, all: boolean): void => setParams({ job, ...(all && { runs: 'all' }) }, { replace: true });
  return (
    <>
      <section className="panel jobs" aria-label="Jobs">
        {jobs.map((job) => (
          <OneJob
            key={job.id}
            job={job}
            isChosen={job === chosen}
            onChoose={() => set(job.id, false)}
            onChanged={onChanged}
          />
        ))}
      </section>
      {chosen && <RunsOf key={chosen.id} job={chosen} isAll={isAll} showAll={() => set(chosen.id, true)} />}
    </>
  );
}

/** Its runs are read anew whenever there are more of them. */
function OneJob({
  job,
  isChosen,
  onChoose,
  onChanged,
}: {
  job: Job;
  isChosen: boolean;
  onChoose: () => void;
  onChanged: () => void;
}) {
  const { value } = useRuns(job, RUNS_READ);
  return <JobRow job={job} runs={value ?? []} isChosen={isChosen} onChoose={onChoose} onChanged={onChanged} />;
}

function RunsOf({ job, isAll, showAll }: { job: Job; isAll: boolean; showAll: () => void }) {
  const { value } = useRuns(job, isAll ? RUNS_MAX : RUNS_SHOWN);
  const hasMore = !isAll && value !== null && value.length === RUNS_SHOWN && job.runs > RUNS_SHOWN;
  return <RunsPanel job={job} runs={value} more={hasMore ? showAll : null} />;
}

function useRuns(job: Job, limit: number) {
  const { value } = useAnswer(`${job.id} ${job.runs} ${limit}`, () => readRuns(job.id, limit));
  return { value };
}
