import { Link } from 'wouter';
import type { Trouble } from '../../api/client';
import type { OverviewQuery } from '../../api/generated/graphql';
import { Overview } from '../../api/overview.graphql';
import { useRead } from '../../api/read';
import { Refused } from '../../operator/refused';
import { plural } from '../../pieces/format';
import { Failure, Loading } from '../../pieces/notices';
import { ZoneChoice } from '../../pieces/zone';
import { Badge } from '../../saga/badge';
import { useTitle } from '../../shell/route-focus';
import { Durations } from './durations';
import { ExpiryPaused, usePausedExpiry } from './expiry-paused';
import { Failures } from './failures';
import { Figures } from './figures';
import { Holds } from './holds';
import { Outcomes } from './outcomes';
import { isShut, PaymentsHalted, ProviderPanel } from './provider';
import { QueueTotals } from './queue-totals';
import { Unsettled } from './unsettled';
import { sinceOf, useWindow, WINDOWS, type Window } from './window';
import './overview.css';

const READ_MS = 3_000;

/** Whether all is well: first in a sentence, then in figures of which each is one that the API gives. */
export function OverviewView() {
  useTitle('Overview');
  const [window, setWindow] = useWindow();
  const { data, trouble, again } = useRead(
    Overview,
    window,
    () => ({ since: sinceOf(window), seconds: WINDOWS[window].bucket }),
    READ_MS,
  );
  const { job, again: lookAgain } = usePausedExpiry();
  return (
    <>
      {job !== null && <ExpiryPaused job={job} onResumed={lookAgain} />}
      {data?.paymentProvider && isShut(data.paymentProvider) && <PaymentsHalted provider={data.paymentProvider} />}
      {trouble !== null && !isSaid(trouble, data) && (
        <Refused trouble={trouble}>
          <Failure
            trouble={trouble}
            meaning={data === null ? 'The figures could not be read.' : 'The shown data may be outdated.'}
            onRetry={again}
          />
        </Refused>
      )}
      <div className="head">
        <div>
          <h1 className="vh">Overview</h1>
          <p className="lead" aria-live="polite">
            {data === null ? '\u00a0' : <Lead data={data} isPaused={job !== null} />}
          </p>
        </div>
        <div className="end">
          <WindowChoice window={window} onChoose={setWindow} />
        </div>
      </div>
      {data?.sagaStatistics ? (
        <Shown data={data} statistics={data.sagaStatistics} window={window} again={again} />
      ) : (
        trouble === null && <Bones />
      )}
    </>
  );
}

/** While the connection is lost, the shell says so and the shown data stays. */
function isSaid({ code }: Trouble, data: OverviewQuery | null): boolean {
  return code === 'UNREACHABLE' && data !== null;
}

function Lead({ data, isPaused }: { data: OverviewQuery; isPaused: boolean }) {
  const { totalCount } = data.stuck;
  if (totalCount === 0)
    return isPaused ? 'No saga is stuck or parked, but lapsed holds are not freed.' : 'No saga is stuck or parked.';
  return (
    <>
      <Badge state="stuck" word="Stuck" />
      <Link href="/saga/incidents">
        {totalCount === 1 ? 'One saga needs you' : `${plural(totalCount, 'saga')} need you`}
      </Link>
    </>
  );
}

function WindowChoice({ window, onChoose }: { window: Window; onChoose: (window: Window) => void }) {
  return (
    <div className="seg" role="radiogroup" aria-label="How far back">
      {Object.entries(WINDOWS).map(([value, { name }]) => (
        <label key={value}>
          <input type="radio" name="window" checked={window === value} onChange={() => onChoose(value as Window)} />
          {name}
        </label>
      ))}
    </div>
  );
}

function Shown({
  data,
  statistics,
  window,
  again,
}: {
  data: OverviewQuery;
  statistics: NonNullable<OverviewQuery['sagaStatistics']>;
  window: Window;
  again: () => void;
}) {
  const { per, last } = WINDOWS[window];
  const held = data.seatReservations;
  return (
    <>
      <Figures statistics={statistics} />
      <div className="overview">
        <div>
          <Outcomes buckets={statistics.buckets} per={per} />
          <div className="pair">
            <Failures failedAt={statistics.failedAt} last={last} />
            <Durations buckets={statistics.buckets} />
          </div>
        </div>
        <div>
          <Holds seats={held?.edges.map(({ node }) => node) ?? []} total={held?.totalCount ?? 0} />
          {data.paymentProvider && <ProviderPanel provider={data.paymentProvider} onSteered={again} />}
          <QueueTotals queue={statistics.queue} last={last} />
          <Unsettled sagas={data.unsettled.edges.map(({ node }) => node)} total={data.unsettled.totalCount} />
        </div>
      </div>
      <p className="zone">
        {plural(statistics.started, 'saga')} started in {last}. <ZoneChoice />
      </p>
    </>
  );
}

/** Frames of about the size that is to come. */
function Bones() {
  return (
    <>
      <section className="panel figs-bones">
        <Loading what="the overview" rows={3} />
      </section>
      <section className="panel">
        <Loading what="the charts" rows={14} />
      </section>
    </>
  );
}
