import { useState } from 'react';
import { useIsLive } from '../../api/connection';
import type { SagaEvent } from '../../api/saga.graphql';
import { plural } from '../../pieces/format';
import { Panel } from '../../pieces/panel';
import { EventLog } from '../../saga/event-log';

/** The saga's events as they stream; `isOver`: no more will come. */
export function LogPanel({ events, isOver }: { events: readonly SagaEvent[]; isOver: boolean }) {
  const [filter, setFilter] = useState('');
  const isLive = useIsLive();
  return (
    <Panel
      title="Log"
      id="log"
      className="log-panel"
      end={
        <>
          <input
            className="input"
            type="search"
            placeholder="Filter"
            aria-label="Filter the log"
            value={filter}
            onChange={({ target }) => setFilter(target.value)}
          />
          <span className="nowrap">
            {plural(events.length, 'event')}
            {events.length > 0 && (isOver ? ', all' : isLive ? ', live' : '')}
          </span>
        </>
      }
    >
      <EventLog events={events} filter={filter} />
      {events.length === 0 && <p className="nothing">Nothing has happened yet. Each event comes here as it happens.</p>}
    </Panel>
  );
}
