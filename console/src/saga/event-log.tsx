import { useMemo, useState } from 'react';
import type { SagaEvent } from '../api/saga.graphql';
import { plural } from '../pieces/format';
import { Icon } from '../pieces/icon';
import { Time } from '../pieces/times';
import { holds, spokenOf, textOf } from './event-text';
import { type Fold, foldRetries } from './folding';
import { iconOf, stateOfEvent } from './states';
import { useEnd } from './use-end';
import { useSpoken } from './use-spoken';
import { eventWord } from './words';
import './states.css';
import './log.css';

/** A log's rows on screen at once; earlier ones come by asking. */
const ROWS_MAX = 500;

interface Logged {
  readonly events: readonly SagaEvent[];
  /** Keeps the events that hold all its words. */
  readonly filter?: string;
}

/**
 * The history of one saga as it grows, in a frame of its own: it keeps to the newest while one is at the end, and stays
 * put once one has scrolled up.
 */
export function EventLog({ events, filter = '' }: Logged) {
  const kept = useMemo(() => events.filter((event) => holds(event, filter)), [events, filter]);
  const [rowsMax, setRowsMax] = useState(ROWS_MAX);
  const { frame, missed, toEnd } = useEnd(kept.length);
  const hidden = Math.max(0, kept.length - rowsMax);
  return (
    <div className="log-frame">
      <div className="log" tabIndex={0} role="log" aria-live="off" aria-label="Events of this saga" ref={frame}>
        {hidden > 0 && (
          <button type="button" className="btn small plain" onClick={() => setRowsMax(rowsMax + ROWS_MAX)}>
            {plural(hidden, 'earlier event')}. Show {Math.min(hidden, ROWS_MAX)} of them
          </button>
        )}
        <ol>
          {kept.slice(hidden).map((event) => (
            <Row key={event.id} event={event} before={events[event.sequence - 2]} isNewest={event === events.at(-1)} />
          ))}
        </ol>
      </div>
      {missed > 0 && (
        <button type="button" className="btn small newest" onClick={toEnd}>
          {plural(missed, 'new event')}
        </button>
      )}
      <Spoken events={events} />
    </div>
  );
}

/** The whole history, newest first; long runs of retries are one row each until they are asked for. */
export function History({ events, filter = '' }: Logged) {
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(
    () =>
      foldRetries(
        events.filter((event) => holds(event, filter)),
        opened,
      ).toReversed(),
    [events, filter, opened],
  );
  return (
    <div className="log history">
      <ol aria-label="Events of this saga, newest first">
        {rows.map((row) =>
          'key' in row ? (
            <Folded key={row.key} fold={row} onOpen={() => setOpened((before) => new Set([...before, row.key]))} />
          ) : (
            <Row key={row.id} event={row} before={events[row.sequence - 2]} />
          ),
        )}
      </ol>
      <Spoken events={events} />
    </div>
  );
}

function Row({
  event,
  before,
  isNewest = false,
}: {
  event: SagaEvent;
  before: SagaEvent | undefined;
  isNewest?: boolean;
}) {
  const state = stateOfEvent(event.type);
  return (
    <li data-s={state} data-sequence={event.sequence} data-new={isNewest || undefined}>
      <span>{event.sequence}</span>
      <Time at={event.at} precise />
      <span>{before && `+${((Date.parse(event.at) - Date.parse(before.at)) / 1_000).toFixed(3)}`}</span>
      <span>
        <Icon name={iconOf(state)} />
        {eventWord(event.type)}
      </span>
      <span>
        {textOf(event)} {event.failure && <span className="api">{event.failure.code}</span>}
      </span>
    </li>
  );
}

function Folded({ fold: { events }, onOpen }: { fold: Fold; onOpen: () => void }) {
  return (
    <li className="fold">
      <button type="button" className="btn small plain" onClick={onOpen}>
        {plural(events.length, 'more event')} of retrying, {events[0]?.sequence} to {events.at(-1)?.sequence}
      </button>
    </li>
  );
}

/** New events are read out one by one, bursts as a count. */
function Spoken({ events }: { events: readonly SagaEvent[] }) {
  const said = useSpoken(events, (fresh) => {
    const [only] = fresh;
    return fresh.length === 1 && only !== undefined ? spokenOf(only) : plural(fresh.length, 'new event');
  });
  return (
    <p className="vh" role="status">
      {said}
    </p>
  );
}
