import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { RowSaga } from '../../api/sagas.graphql';
import { age } from '../../operator/age';
import { ShortId } from '../../pieces/correlation-id';
import { between, count, duration } from '../../pieces/format';
import { Time } from '../../pieces/times';
import { SagaBadge } from '../../saga/badge';
import { MiniLine } from '../../saga/mini-line';
import { cause, sentenceOf } from '../../saga/sentence';
import { definitionWord } from '../../saga/words';

/** Sagas in rows; on a phone, in cards. A row opens its saga. */
export function SagaTable({ rows }: { rows: readonly RowSaga[] }) {
  return (
    <table className="table saga-table">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Saga</th>
          <th scope="col" className="wide">
            Booking
          </th>
          <th scope="col">Flight</th>
          <th scope="col" className="num wide">
            People
          </th>
          <th scope="col">Line</th>
          <th scope="col">What is going on</th>
          <th scope="col" className="num">
            Started
          </th>
          <th scope="col" className="num">
            Took
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((saga) => (
          <Row key={saga.id} saga={saga} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ saga }: { saga: RowSaga }) {
  return (
    <tr data-status={saga.status}>
      <td>
        <SagaBadge saga={saga} />
      </td>
      <td>
        <Link className="opens" href={`/saga/${saga.correlationId}`} data-row>
          <ShortId id={saga.correlationId} />
        </Link>
      </td>
      <td className="quiet wide">{definitionWord(saga.definition)}</td>
      <td>
        {saga.flights.map(({ id, number, origin, destination }) => (
          <span className="leg" key={id}>
            <span className="mono">{number}</span>{' '}
            <span className="quiet">
              {origin.code} {destination.code}
            </span>
          </span>
        ))}
      </td>
      <td className="num wide">{count(saga.passengers.length)}</td>
      <td>
        <MiniLine saga={saga} />
      </td>
      <td className="say">{saying(saga)}</td>
      <td className="num mono quiet">
        <Time at={saga.startedAt} />
      </td>
      <td className="num mono">
        <Took saga={saga} />
      </td>
    </tr>
  );
}

/** The sentence; of one that ended early, why. */
function saying(saga: RowSaga): string {
  const { status, failure } = saga;
  return status === 'COMPENSATED' && failure !== null ? `${cause(saga)} ${failure.message}` : sentenceOf(saga);
}

function Took({ saga }: { saga: RowSaga }) {
  return saga.finishedAt === null ? (
    <SoFar since={saga.startedAt} />
  ) : (
    duration(between(saga.startedAt, saga.finishedAt, 0))
  );
}

function SoFar({ since }: { since: string }) {
  return age(since, useNow());
}
