import type { Bucket } from '../../api/overview.graphql';
import { count } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { clockOf, everyOf, marksTo } from './axis';
import { useWidth } from './use-width';

const HEIGHT = 196;
const FLOOR = 172;
const LEFT = 40;
const ROOF = 22;

/** What became of the sagas in each stretch of time: those that ended in it, and those that got stuck in it. */
export function Outcomes({ buckets, per }: { buckets: readonly Bucket[]; per: string }) {
  const isNone = buckets.every((bucket) => heightOf(bucket) === 0);
  return (
    <Panel title={`Outcomes per ${per}`} end={<Key />}>
      <div className="pad chart-box">
        {isNone ? (
          <Empty title="No saga ended in this time">Outcomes are drawn here as sagas end or get stuck.</Empty>
        ) : (
          <Chart buckets={buckets} />
        )}
      </div>
    </Panel>
  );
}

/** Sagas that got stuck count as much as those that ended: so an outage shows where it begins. */
function heightOf({ completed, compensated, abandoned, stuck }: Bucket): number {
  return completed + compensated + abandoned + stuck;
}

function Key() {
  return (
    <span className="ck">
      <span>
        <i />
        completed
      </span>
      <span>
        <i className="u" />
        undone
      </span>
      <span>
        <i className="a" />
        abandoned
      </span>
      <span>
        <Triangle />
        got stuck
      </span>
    </span>
  );
}

function Triangle() {
  return (
    <svg width="13" height="12" viewBox="0 0 18 15" aria-hidden="true">
      <path d="M9 0l9 15H0z" className="s" />
    </svg>
  );
}

function Chart({ buckets }: { buckets: readonly Bucket[] }) {
  const [box, width] = useWidth<HTMLDivElement>(760);
  const marks = marksTo(Math.max(...buckets.map(heightOf)));
  const top = marks.at(-1) ?? 1;
  const y = (value: number): number => FLOOR - (value / top) * (FLOOR - ROOF);
  const step = (width - LEFT) / buckets.length;
  const every = everyOf(step);
  return (
    <div ref={box}>
      <svg width="100%" height={HEIGHT} className="chart" aria-hidden="true">
        <defs>
          <pattern id="undone" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="5" height="5" className="u" />
            <rect width="1.5" height="5" className="cut" />
          </pattern>
        </defs>
        {marks.map((mark) => (
          <g key={mark}>
            <line x1={LEFT} x2="100%" y1={y(mark)} y2={y(mark)} className="gl" />
            <text x={LEFT - 8} y={y(mark) + 4} textAnchor="end">
              {count(mark)}
            </text>
          </g>
        ))}
        {buckets.map((bucket, index) => (
          <Bar
            key={bucket.startsAt}
            bucket={bucket}
            x={LEFT + index * step}
            step={step}
            y={y}
            isNamed={index % every === 0}
          />
        ))}
      </svg>
      <Numbers buckets={buckets} />
    </div>
  );
}

function Bar({
  bucket,
  x,
  step,
  y,
  isNamed,
}: {
  bucket: Bucket;
  x: number;
  step: number;
  y: (value: number) => number;
  isNamed: boolean;
}) {
  const { completed, compensated, abandoned, stuck, startsAt } = bucket;
  const ended = completed + compensated + abandoned;
  const wide = Math.max(3, Math.min(40, step * 0.6));
  const left = x + (step - wide) / 2;
  const middle = x + step / 2;
  const part = (from: number, size: number, name: string) =>
    size > 0 && (
      <rect
        x={left}
        y={y(from + size)}
        width={wide}
        height={Math.max(2, y(from) - y(from + size) - 1)}
        className={name}
      />
    );
  const top = y(heightOf(bucket)) - 4;
  return (
    <g>
      <title>{`${clockOf(startsAt)}: ${completed} completed, ${compensated} undone, ${abandoned} abandoned, ${stuck} got stuck`}</title>
      {part(0, completed, 'c')}
      {completed > 0 && <rect x={left} y={y(completed)} width={wide} height="3" className="ct" />}
      {part(completed, compensated, 'hatched')}
      {part(completed + compensated, abandoned, 'a')}
      {part(ended, stuck, 's')}
      {stuck > 0 && <path d={`M${middle} ${top - 15}l9 15h-18z`} className="s" />}
      {stuck > 0 && <path d={`M${middle} ${top - 9.5}v4M${middle} ${top - 2.5}v.01`} className="sx" />}
      {isNamed && (
        <text x={x} y="190">
          {clockOf(startsAt)}
        </text>
      )}
    </g>
  );
}

/** The same numbers for readers. */
function Numbers({ buckets }: { buckets: readonly Bucket[] }) {
  return (
    <div className="vh">
      <table>
        <caption>How sagas ended, or got stuck</caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Completed</th>
            <th scope="col">Undone</th>
            <th scope="col">Abandoned</th>
            <th scope="col">Got stuck</th>
          </tr>
        </thead>
        <tbody>
          {buckets.map(({ startsAt, completed, compensated, abandoned, stuck }) => (
            <tr key={startsAt}>
              <th scope="row">{clockOf(startsAt)}</th>
              <td>{completed}</td>
              <td>{compensated}</td>
              <td>{abandoned}</td>
              <td>{stuck}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
