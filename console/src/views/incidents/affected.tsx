import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { SagaFilter } from '../../api/generated/graphql';
import { type Affected, IncidentSagas } from '../../api/incidents.graphql';
import { useRead } from '../../api/read';
import { age } from '../../operator/age';
import { stakeOf } from '../../operator/stake';
import { ShortId } from '../../pieces/correlation-id';
import { plural } from '../../pieces/format';
import { Failure, Loading } from '../../pieces/notices';
import { MiniLine } from '../../saga/mini-line';

const SHOWN = 20;
const READ_MS = 5_000;

/** Who is affected by an incident: its sagas, the longest stuck first. */
export function AffectedSagas({ filter, known }: { filter: SagaFilter; known: string }) {
  const { data, trouble, again } = useRead(IncidentSagas, known, () => ({ filter, first: SHOWN }), READ_MS);
  if (data === null) {
    if (trouble === null) return <Loading what="who is affected" />;
    return <Failure trouble={trouble} meaning="Who is affected could not be read." onRetry={again} />;
  }
  const { edges, totalCount } = data.sagas;
  return (
    <>
      <table className="table affected">
        <thead>
          <tr>
            <th scope="col">Saga</th>
            <th scope="col">Passengers</th>
            <th scope="col">Flight</th>
            <th scope="col">At stake</th>
            <th scope="col">Line</th>
            <th scope="col" className="num">
              Since
            </th>
          </tr>
        </thead>
        <tbody>
          {edges.map(({ node }) => (
            <Row key={node.id} saga={node} />
          ))}
        </tbody>
      </table>
      {totalCount > edges.length && (
        <p className="foot">
          The {edges.length} that wait longest, of {plural(totalCount, 'saga')}.
        </p>
      )}
    </>
  );
}

function Row({ saga }: { saga: Affected }) {
  const now = useNow();
  return (
    <tr>
      <td>
        <Link href={`/saga/${saga.correlationId}`} data-row>
          <ShortId id={saga.correlationId} />
        </Link>
      </td>
      <td className="who">{whoIn(saga)}</td>
      <td>
        <FlightsOf saga={saga} />
      </td>
      <td>{stakeOf(saga.atStake) || <span className="quiet">nothing</span>}</td>
      <td>
        <MiniLine saga={saga} />
      </td>
      <td className="num mono quiet">{age(saga.stuckSince ?? saga.startedAt, now)}</td>
    </tr>
  );
}

/** The flights of a saga, one after another. */
export function FlightsOf({ saga }: { saga: Affected }) {
  return saga.flights.map(({ id, number, origin, destination }) => (
    <span className="leg" key={id}>
      <span className="mono">{number}</span>{' '}
      <span className="quiet">
        {origin.code} {destination.code}
      </span>{' '}
    </span>
  ));
}

/** The passengers by their family names. */
export function whoIn({ passengers }: Affected): string {
  return passengers.map(({ familyName }) => familyName).join(', ');
}
