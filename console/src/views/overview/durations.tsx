import type { Bucket } from '../../api/overview.graphql';
import { duration } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { clockOf, decadesOf, everyOf } from './axis';
import { useWidth } from './use-width';

const HEIGHT = 170;
const FLOOR = 144;
const ROOF = 10;
const LEFT = 52;

interface Ended {
  readonly startsAt: string;
  readonly index: number;
  readonly p50: number;
  readonly p95: number;
}

/** How long the sagas took that ended in each stretch: half of them, and 95 in 100. On a logarithmic scale. */
export function Durations({ buckets }: { buckets: readonly Bucket[] }) {
  const ended = buckets.flatMap(({ startsAt, durationMsP50: p50, durationMsP95: p95 }, index): Ended[] =>
    p50 === null || p95 === null ? [] : [{ startsAt, index, p50, p95 }],
  );
  return (
    <Panel title="Time to finish" end="dot: half, bar: 95 in 100; log scale">
      <div className="pad chart-box">
        {ended.length === 0 ? (
          <Empty title="No saga ended in this time">How long they took is drawn here as they end.</Empty>
        ) : (
          <Chart ended={ended} buckets={buckets} />
        )}
      </div>
    </Panel>
  );
}

function Chart({ ended, buckets }: { ended: readonly Ended[]; buckets: readonly Bucket[] }) {
  const [box, width] = useWidth<HTMLDivElement>(380);
  const decades = decadesOf(ended.flatMap(({ p50, p95 }) => [p50, p95]));
  const low = Math.log10(decades[0] ?? 1);
  const high = Math.log10(decades.at(-1) ?? 10);
  const y = (ms: number): number => FLOOR - ((Math.log10(Math.max(ms, 1)) - low) / (high - low)) * (FLOOR - ROOF);
  const step = (width - LEFT) / buckets.length;
  const every = everyOf(step);
  return (
    <div ref={box}>
      <svg width="100%" height={HEIGHT} className="chart" aria-hidden="true">
        {decades.map((mark) => (
          <g key={mark}>
            <line x1={LEFT} x2="100%" y1={y(mark)} y2={y(mark)} className="gl" />
            <text x={LEFT - 8} y={y(mark) + 4} textAnchor="end">
              {short(mark)}
            </text>
          </g>
        ))}
        {buckets.map(
          ({ startsAt }, index) =>
            index % every === 0 && (
              <text key={startsAt} x={LEFT + (index + 0.5) * step} y="162" textAnchor="middle">
                {clockOf(startsAt)}
              </text>
            ),
        )}
        {ended.map(({ startsAt, index, p50, p95 }) => {
          const x = LEFT + (index + 0.5) * step;
          return (
            <g key={startsAt}>
              <title>{`${clockOf(startsAt)}: half within ${duration(p50)}, 95 in 100 within ${duration(p95)}`}</title>
              <line x1={x} x2={x} y1={y(p50)} y2={y(p95)} className="rg" />
              <rect x={x - 6} y={y(p95) - 1.5} width="12" height="3" className="p9" />
              <circle cx={x} cy={y(p50)} r="4.5" className="p5" />
            </g>
          );
        })}
      </svg>
      <Numbers ended={ended} />
    </div>
  );
}

/** 10 ms, 1 s, 100 s: a power of ten as it is named at an axis. */
function short(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`;
}

function Numbers({ ended }: { ended: readonly Ended[] }) {
  return (
    <div className="vh">
      <table>
        <caption>How long sagas took</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Half within</th>
            <th scope="col">95 in 100 within</th>
          </tr>
        </thead>
        <tbody>
          {ended.map(({ startsAt, p50, p95 }) => (
            <tr key={startsAt}>
              <th scope="row">{clockOf(startsAt)}</th>
              <td>{duration(p50)}</td>
              <td>{duration(p95)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
