import type { Job, JobRun } from '../../api/scheduler';
import { count, duration, plural } from '../../pieces/format';
import { Empty, Loading } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { ZoneChoice } from '../../pieces/zone';
import { Badge } from '../../saga/badge';
import { affectedOf, nameOf, outcomeOf } from './names';

/** The last runs of one job on all replicas, newest first. */
export function RunsPanel({
  job,
  runs,
  more,
}: {
  job: Job;
  runs: readonly JobRun[] | null;
  more: (() => void) | null;
}) {
  return (
    <Panel title={`Runs of ${nameOf(job)}`} end={`${plural(job.runs, 'run')}, ${count(job.failures)} failed`}>
      {runs === null ? (
        <Loading what="its runs" rows={8} />
      ) : runs.length === 0 ? (
        <Empty title="No runs yet">
          {job.paused
            ? 'This job was paused before its first run. Resume it, or run it once now; running it once does not resume it.'
            : 'Its first run comes when it is due.'}
        </Empty>
      ) : (
        <>
          <table className="table runs-table">
            <thead>
              <tr>
                <th scope="col">Started</th>
                <th scope="col" className="num">
                  Took
                </th>
                <th scope="col">Outcome</th>
                <th scope="col">What it did</th>
                <th scope="col">Replica</th>
                <th scope="col">What went wrong</th>
              </tr>
            </thead>
            <tbody>
              {runs.map((run) => (
                <Row key={run.startedAt + run.replica} job={job} run={run} />
              ))}
            </tbody>
          </table>
          <div className="foot">
            <span>
              <ZoneChoice />
            </span>
            {more !== null && (
              <button type="button" className="btn small" onClick={more}>
                Show more
              </button>
            )}
          </div>
        </>
      )}
    </Panel>
  );
}

function Row({ job, run }: { job: Job; run: JobRun }) {
  return (
    <tr>
      <td className="mono">
        <Time at={run.startedAt} />
      </td>
      <td className="num mono">{duration(run.durationMs)}</td>
      <td>
        <Badge {...outcomeOf(run)} />
      </td>
      <td className={run.affected ? undefined : 'quiet'}>{affectedOf(job.id, run)}</td>
      <td className="mono quiet" title={run.replica}>
        {run.replica.slice(-6)}
      </td>
      <td className="err">{run.error}</td>
    </tr>
  );
}
