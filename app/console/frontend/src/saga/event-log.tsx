import { useMemo } from 'react';
import type { SagaEvent } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { Time } from '../pieces/times';
import { iconOf, OF_EVENT } from './states';
import { COMPENSATIONS, EVENTS, STEPS } from './words';
import './states.css';
import './log.css';

/** A log's rows on screen at once. */
const ROWS_MAX = 500;

/** The history of one saga as it grows, the newest at the end; `filter` keeps what holds all its words. */
export function EventLog({ events, filter = '' }: { events: readonly SagaEvent[]; filter?: string }) {
  const shown = useMemo(() => events.filter((event) => holds(event, filter)).slice(-ROWS_MAX), [events, filter]);
  return (
    <div className="log" tabIndex={0} role="log" aria-live="polite" aria-label="Events of this saga">
      <ol>
        {shown.map((event) => (
          <Row key={event.id} event={event} before={events[event.sequence - 2]} />
        ))}
      </ol>
    </div>
  );
}

function Row({ event, before }: { event: SagaEvent; before: SagaEvent | undefined }) {
  const state = OF_EVENT[event.type];
  return (
    <li data-s={state}>
      <span>{event.sequence}</span>
      <Time at={event.at} precise />
      <span>{before && `+${((Date.parse(event.at) - Date.parse(before.at)) / 1_000).toFixed(3)}`}</span>
      <span>
        <Icon name={iconOf(state)} />
        {EVENTS[event.type]}
      </span>
      <span>
        {event.message} {event.failure && <span className="api">{event.failure.code}</span>}
      </span>
    </li>
  );
}

function holds(event: SagaEvent, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [
    EVENTS[event.type],
    event.type,
    event.step && `${event.step} ${STEPS[event.step].name}`,
    event.compensation && `${event.compensation} ${COMPENSATIONS[event.compensation]}`,
    event.message,
    event.failure?.code,
  ]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}
