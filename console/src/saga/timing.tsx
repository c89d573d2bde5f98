import { useMemo } from 'react';
import { useNow } from '../api/clock';
import type { SagaEvent, SagaOnLine } from '../api/saga.graphql';
import { duration, plural } from '../pieces/format';
import { Time } from '../pieces/times';
import { type Scale, scaleOf } from './scale';
import { type Attempt, type Span, spansOf } from './spans';
import { TERMINAL } from './states';
import './timing.css';

/** The minimum width, so that a mark of no duration is visible. */
const WIDTH_MIN_PERCENT = 0.6;

/**
 * Each step and compensation as a row of its attempts in time; what it waited is dotted. Readers get the same numbers
 * as a table. `at`: the moment that is shown, where that is not now.
 */
export function Timing({ saga, events, at }: { saga: SagaOnLine; events: readonly SagaEvent[]; at?: number }) {
  const clock = useNow();
  const now = at ?? clock;
  const spans = useMemo(() => spansOf(saga, events), [saga, events]);
  const began = Date.parse(saga.startedAt);
  const isOver = TERMINAL.has(saga.status);
  const end = isOver && saga.finishedAt !== null ? Date.parse(saga.finishedAt) : Math.max(now, lastOf(events, began));
  const scale = scaleOf(end - began);
  const nowAt = isOver ? null : end - began;
  return (
    <div className="fall">
      <Grid scale={scale} />
      <div className="scale" aria-hidden="true">
        <span className="quiet">
          {scale.isLogarithmic ? 'log scale, ' : 'from '}
          <span className="from">
            <Time at={saga.startedAt} />
          </span>
        </span>
        <svg width="100%" height="20">
          {scale.ticks.map(({ at, label }) => (
            <text key={label} x={`${at}%`} y="13">
              {label}
            </text>
          ))}
          {nowAt !== null && (
            <text x="100%" y="13" textAnchor="end" className="now">
              now
            </text>
          )}
        </svg>
        <span />
      </div>
      <ol aria-hidden="true">
        {spans.map((span) => (
          <Row key={span.key} span={span} scale={scale} nowAt={nowAt} />
        ))}
      </ol>
      <Numbers spans={spans} />
    </div>
  );
}

/** The legend of the marks, for the panel's title line. */
export function TimingKey() {
  return (
    <span className="key2">
      {[
        ['done', 'step'],
        ['failed', 'failed'],
        ['undone', 'undone'],
        ['try', 'failed try'],
        ['waiting', 'wait for the customer'],
        ['stuck', 'try while stuck'],
      ].map(([mark, word]) => (
        <span key={mark}>
          <i data-mark={mark} />
          {word}
        </span>
      ))}
    </span>
  );
}

function Grid({ scale }: { scale: Scale }) {
  return (
    <div className="gridl" aria-hidden="true">
      <svg width="100%" height="100%">
        {scale.ticks.map(({ at, label }) => (
          <line key={label} x1={`${at}%`} x2={`${at}%`} y1="0" y2="100%" />
        ))}
      </svg>
    </div>
  );
}

function Row({ span, scale, nowAt }: { span: Span; scale: Scale; nowAt: number | null }) {
  const { attempts } = span;
  return (
    <li className={span.isUndo ? 'back' : undefined}>
      <span>{span.name}</span>
      <svg width="100%" height="26">
        {attempts.map((attempt, index) => {
          const next = attempts[index + 1];
          return next && <Wait key={index} scale={scale} from={attempt.to ?? attempt.from} to={next.from} />;
        })}
        {attempts.map((attempt, index) => (
          <Mark key={index} attempt={attempt} isUndo={span.isUndo} scale={scale} nowAt={nowAt} />
        ))}
      </svg>
      <span>{tookOf(span)}</span>
    </li>
  );
}

function Wait({ scale, from, to }: { scale: Scale; from: number; to: number }) {
  return <line className="gap" x1={`${scale.at(from)}%`} x2={`${scale.at(to)}%`} y1="13" y2="13" />;
}

function Mark({
  attempt,
  isUndo,
  scale,
  nowAt,
}: {
  attempt: Attempt;
  isUndo: boolean;
  scale: Scale;
  nowAt: number | null;
}) {
  const from = scale.at(attempt.from);
  const to = scale.at(attempt.to ?? nowAt ?? attempt.from);
  const width = Math.max(WIDTH_MIN_PERCENT, to - from);
  const x = Math.min(from, 100 - width);
  return <rect x={`${x}%`} y="7" width={`${width}%`} height="12" rx="2" data-mark={markOf(attempt, isUndo)} />;
}

function markOf({ outcome }: Attempt, isUndo: boolean): string {
  switch (outcome) {
    case 'completed':
      return isUndo ? 'undone' : 'done';
    case 'retrying':
      return 'try';
    case 'running':
      return isUndo ? 'undoing' : 'running';
    default:
      return outcome;
  }
}

/** The duration, or the number of attempts. */
function tookOf({ attempts }: Span): string {
  const [first] = attempts;
  const last = attempts.at(-1);
  if (first === undefined || last === undefined) return 'waits';
  const tries = triesOf(attempts);
  if (tries > 1) return plural(tries, 'try', 'tries');
  return last.to === null ? 'now' : duration(last.to - first.from);
}

function triesOf(attempts: readonly Attempt[]): number {
  return attempts.filter(({ outcome }) => outcome !== 'waiting').length;
}

function Numbers({ spans }: { spans: readonly Span[] }) {
  return (
    <div className="vh">
      <table>
        <caption>Timing of each step, from the start of the saga</caption>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Began after</th>
            <th scope="col">Tries</th>
            <th scope="col">Took</th>
          </tr>
        </thead>
        <tbody>
          {spans.map(({ key, name, attempts }) => {
            const [first] = attempts;
            const last = attempts.at(-1);
            return (
              <tr key={key}>
                <th scope="row">{name}</th>
                <td>{first ? duration(first.from) : 'not begun'}</td>
                <td>{triesOf(attempts)}</td>
                <td>{first && last && last.to !== null ? duration(last.to - first.from) : ''}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function lastOf(events: readonly SagaEvent[], began: number): number {
  const last = events.at(-1);
  return last === undefined ? began : Date.parse(last.at);
}
