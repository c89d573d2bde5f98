import { useSaga, useSagaEvents } from '../../api/follow';
import { EventLog, History } from '../../saga/event-log';
import { Headline } from '../../saga/headline';
import { Line } from '../../saga/line';
import { Queue } from '../../saga/queue';
import { Timing, TimingKey } from '../../saga/timing';
import { CorrelationId } from '../../pieces/correlation-id';
import { Empty, Loading } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { useTitle } from '../../shell/route-focus';

/** One saga: its line, queue and history, live. */
export function SagaView({ correlationId }: { correlationId: string }) {
  useTitle('Saga');
  const { saga, error } = useSaga(correlationId);
  const { events } = useSagaEvents(correlationId);
  return (
    <>
      <div className="head">
        <h1>Saga</h1>
        <CorrelationId id={correlationId} />
      </div>
      {saga === null ? (
        error ? <Empty title="There is no such saga">{error.message}</Empty> : <Loading what="the saga" rows={8} />
      ) : (
        <>
          <section className="panel" aria-label="Line">
            <Headline saga={saga} />
            <Line saga={saga} />
          </section>
          <Panel title="Queue">
            <div className="pad">
              <Queue saga={saga} />
            </div>
          </Panel>
          <Panel title="Timing" end={<TimingKey />}>
            <Timing saga={saga} events={events} />
          </Panel>
          <Panel title="History">
            <History events={events} />
          </Panel>
          <Panel title="Log">
            <EventLog events={events} />
          </Panel>
        </>
      )}
    </>
  );
}
