import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { useSaga, useSagaEvents } from '../../api/follow';
import { read } from '../../api/read';
import type { Saga, SagaEvent } from '../../api/saga.graphql';
import { SagaFound } from '../../api/sagas.graphql';
import { useViewer } from '../../api/viewer';
import { CorrelationId } from '../../pieces/correlation-id';
import { plural } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { Empty, Loading } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { saveFile } from '../../pieces/save';
import { ZoneChoice } from '../../pieces/zone';
import { History } from '../../saga/event-log';
import { fileOf } from '../../saga/file';
import { uuidIn } from '../../saga/ids';
import { Line } from '../../saga/line';
import { Queue } from '../../saga/queue';
import { sentenceOf } from '../../saga/sentence';
import { TERMINAL } from '../../saga/states';
import { Timing, TimingKey } from '../../saga/timing';
import { definitionWord } from '../../saga/words';
import { OperatorToken } from '../../shell/operator-token';
import { useTitle } from '../../shell/route-focus';
import { Journey } from './journey';
import { BookingPanel, PaymentPanel } from './outcome';
import { Record } from './record';
import { Related } from './related';
import { Top } from './top';
import './saga.css';

/** One saga, live: what is going on, its line, its timing and history, and all that belongs to it. */
export function SagaView({ correlationId }: { correlationId: string }) {
  return uuidIn(correlationId) === correlationId ? <OneSaga correlationId={correlationId} /> : <NoId />;
}

function OneSaga({ correlationId }: { correlationId: string }) {
  const { saga, error } = useSaga(correlationId);
  const { events } = useSagaEvents(correlationId);
  useTitle(saga === null ? 'Saga' : sentenceOf(saga));
  return (
    <>
      <nav className="crumb" aria-label="Where you are">
        <Link href="/saga">Sagas</Link>
        <Icon name="chevron" />
        <CorrelationId id={correlationId} />
        {saga !== null && (
          <button
            type="button"
            className="btn small save"
            onClick={() => saveFile(`saga-${correlationId}.json`, 'application/json', fileOf(saga, events, new Date()))}
          >
            Save as a file
          </button>
        )}
      </nav>
      {saga === null ? <NotYet correlationId={correlationId} error={error} /> : <Shown saga={saga} events={events} />}
    </>
  );
}

function Shown({ saga, events }: { saga: Saga; events: readonly SagaEvent[] }) {
  const isOver = TERMINAL.has(saga.status);
  return (
    <>
      <Top saga={saga} events={events} />
      <div className="saga-cols">
        <div>
          <Panel title="Line" end={`${definitionWord(saga.definition)}, version ${saga.definitionVersion}`}>
            <Line saga={saga} />
          </Panel>
          <Panel title="Timing" end={<TimingKey />}>
            <Timing saga={saga} events={events} />
          </Panel>
          <Panel
            title="History"
            className="history-panel"
            end={
              <span>
                {plural(events.length, 'event')}, newest first{isOver ? '' : ', live'}. <ZoneChoice />
              </span>
            }
          >
            <History events={events} />
          </Panel>
        </div>
        <div>
          <Journey saga={saga} />
          <PaymentPanel saga={saga} />
          <BookingPanel saga={saga} />
          <Related saga={saga} />
          <Record saga={saga} />
          <Panel title="Queue">
            <div className="pad">
              <Queue saga={saga} />
            </div>
          </Panel>
        </div>
      </div>
    </>
  );
}

/** Nothing has come yet: it is loading, or there is none. */
function NotYet({ correlationId, error }: { correlationId: string; error: { message: string } | null }) {
  const isThere = useIsThere(correlationId);
  const isAnonymous = useViewer()?.role === 'ANONYMOUS';
  return (
    <>
      <section className="panel">
        <h1 className="vh">Saga</h1>
        {error !== null ? (
          <None title="There is no such saga">{error.message}</None>
        ) : isThere === false ? (
          <None title="There is no saga with this correlation ID yet">
            If it starts within a minute, it appears here.
          </None>
        ) : (
          <Loading what="the saga" rows={16} />
        )}
      </section>
      {isAnonymous && (error !== null || isThere === false) && (
        <OperatorToken scope="sagas:read">It may be somebody’s: an operator sees the sagas of all.</OperatorToken>
      )}
    </>
  );
}

function NoId() {
  useTitle('Saga');
  return (
    <section className="panel">
      <h1 className="vh">Saga</h1>
      <None title="This address names no saga">A correlation ID is a UUID, in lower case.</None>
    </section>
  );
}

function None({ title, children }: { title: string; children: string }) {
  return (
    <Empty
      title={title}
      action={
        <Link className="btn" href="/saga">
          Show all sagas
        </Link>
      }
    >
      {children}
    </Empty>
  );
}

/** The subscription waits for an unknown ID; a query answers at once. Null: not known yet. */
function useIsThere(correlationId: string): boolean | null {
  const [isThere, setIsThere] = useState<boolean | null>(null);
  useEffect(() => {
    let isWanted = true;
    void read(SagaFound, { correlationId }).then(({ data }) => {
      if (isWanted && data) setIsThere(data.saga !== null);
    });
    return () => {
      isWanted = false;
    };
  }, [correlationId]);
  return isThere;
}
