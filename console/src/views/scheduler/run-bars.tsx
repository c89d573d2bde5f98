import type { JobRun } from '../../api/scheduler';

const BARS_MAX = 30;
const HEIGHT = 26;

/** The last runs, oldest first, as bars of how long each took; a failed one is crossed beneath. */
export function RunBars({ runs }: { runs: readonly JobRun[] }) {
  const shown = runs.slice(0, BARS_MAX).toReversed();
  if (shown.length === 0) return <p className="quiet none">No runs yet</p>;
  const longest = Math.max(...shown.map((run) => run.durationMs), 1);
  const failed = shown.filter((run) => run.outcome === 'FAILED').length;
  return (
    <svg
      viewBox="0 0 180 36"
      width="180"
      height="36"
      className="hist"
      role="img"
      aria-label={`Last ${shown.length} runs, ${failed} failed`}
    >
      {shown.map((run, index) => (
        <Bar key={run.startedAt} run={run} x={(BARS_MAX - shown.length + index) * 6} longest={longest} />
      ))}
    </svg>
  );
}

/** The height goes by the logarithm: a slow run does not flatten all others. */
function Bar({ run, x, longest }: { run: JobRun; x: number; longest: number }) {
  const height = 3 + ((HEIGHT - 3) * Math.log1p(run.durationMs)) / Math.log1p(longest);
  const isFailed = run.outcome === 'FAILED';
  return (
    <>
      <rect x={x} y={HEIGHT - height} width="4" height={height} className={isFailed ? 'f' : undefined} />
      {isFailed && <path d={`M${x - 1} 30l6 6m0-6-6 6`} className="fx" />}
    </>
  );
}
