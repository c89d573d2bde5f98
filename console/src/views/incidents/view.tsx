import { Link, useSearchParams } from 'wouter';
import { BulkActions } from '../../api/bulk.graphql';
import { type Incident, Incidents } from '../../api/incidents.graphql';
import { useRead } from '../../api/read';
import { useNeeds, useSayNeeds } from '../../operator/needs';
import { Refused } from '../../operator/refused';
import { count, plural } from '../../pieces/format';
import { Empty, Failure, Loading } from '../../pieces/notices';
import { ZoneChoice } from '../../pieces/zone';
import { useTitle } from '../../shell/route-focus';
import { ExpiryPaused, usePausedExpiry } from '../overview/expiry-paused';
import { isShut, PaymentsHalted } from '../overview/provider';
import { keyOf } from './cause';
import { IncidentRow } from './incident-row';
import { ProviderLine } from './provider-line';
import { RecentBulk } from './recent-bulk';
import { Worklist } from './worklist';
import '../overview/overview.css';
import './incidents.css';

const READ_MS = 3_000;
const BULK_READ = 5;

/** What needs a person, the worst first: an operator's first page. */
export function IncidentsView() {
  useTitle('Incidents');
  const { data, trouble, again } = useRead(Incidents, 'incidents', () => ({}), READ_MS);
  const { job, again: lookAgain } = usePausedExpiry();
  const { data: bulk, again: lookForBulk } = useRead(
    BulkActions,
    'bulk',
    () => ({ first: BULK_READ, after: null }),
    READ_MS,
  );
  const started = (): void => {
    lookForBulk();
    again();
  };
  useSayNeeds(data);
  const unsettled = useNeeds()?.unsettled ?? 0;
  const incidents = data?.incidents ?? null;
  return (
    <>
      {job !== null && <ExpiryPaused job={job} onResumed={lookAgain} />}
      {data?.paymentProvider && isShut(data.paymentProvider) && <PaymentsHalted provider={data.paymentProvider} />}
      {trouble !== null && !(trouble.code === 'UNREACHABLE' && data !== null) && (
        <Refused trouble={trouble}>
          <Failure
            trouble={trouble}
            meaning={data === null ? 'The incidents could not be read.' : 'The shown data may be outdated.'}
            onRetry={again}
          />
        </Refused>
      )}
      <div className="head">
        <div>
          <h1>Incidents</h1>
          <p aria-live="polite">{incidents === null ? '\u00a0' : leadOf(incidents, unsettled)}</p>
        </div>
        <div className="end">
          <Link className="btn" href="/saga/bulk">
            Bulk actions
          </Link>
          <Link className="btn" href="/saga/actions">
            Record of actions
          </Link>
        </div>
      </div>
      {data?.paymentProvider && <ProviderLine provider={data.paymentProvider} />}
      <RecentBulk bulk={bulk} />
      <section className="panel incidents" aria-label="Incidents, the worst first">
        {incidents === null ? (
          trouble === null && <Loading what="incidents" rows={6} />
        ) : incidents.length === 0 ? (
          <Empty title="No saga is stuck or parked">
            When sagas get stuck, they are listed here by what stopped them.
          </Empty>
        ) : (
          <Rows incidents={incidents} onStarted={started} />
        )}
      </section>
      <Worklist onChanged={again} />
      <p className="zone">
        <ZoneChoice />
      </p>
    </>
  );
}

/** Who is affected is shown of one incident at a time; which one is in the address. */
function Rows({ incidents, onStarted }: { incidents: readonly Incident[]; onStarted: () => void }) {
  const [params, setParams] = useSearchParams();
  const open = params.get('open');
  return incidents.map((incident) => {
    const key = keyOf(incident);
    return (
      <IncidentRow
        key={key}
        incident={incident}
        isOpen={key === open}
        onStarted={onStarted}
        onOpen={() => setParams(key === open ? {} : { open: key }, { replace: true })}
      />
    );
  });
}

function leadOf(incidents: readonly Incident[], unsettled: number): string {
  const sagas = incidents.reduce((sum, incident) => sum + incident.sagas, 0);
  const toSettle = unsettled === 0 ? '' : ` ${plural(unsettled, 'saga waits', 'sagas wait')} to be settled by hand.`;
  if (sagas === 0) return `No saga is stuck or parked.${toSettle}`;
  const causes = incidents.length === 1 ? 'one incident' : `${count(incidents.length)} incidents, the worst first`;
  return `${plural(sagas, 'saga needs', 'sagas need')} you: ${causes}.${toSettle}`;
}
