import { useNow } from '../../api/clock';
import type { CabinClass } from '../../api/generated/graphql';
import type { Flight } from '../../api/saga.graphql';
import type { Seat } from '../../api/seats.graphql';
import { money, plural } from '../../pieces/format';
import { AirportTime } from '../../pieces/times';
import { CABINS, freeIn } from '../../seats/plan';
import { fareOf } from './prices';
import type { Offer } from './test.graphql';
import '../../saga/board.css';

const ORDER: readonly CabinClass[] = ['FIRST', 'BUSINESS', 'ECONOMY'];

/** Which flight the map is of, and what is left of each cabin; `flight` null: none is chosen yet. */
export function FlightBoard({ flight, seats }: { flight: Flight | Offer | null; seats: ReadonlyMap<string, Seat> }) {
  return (
    <div className="board">
      <dl>
        <div>
          <dt>Flight</dt>
          <dd>{flight?.number ?? '–'}</dd>
        </div>
        <Place name="From" at={flight?.departsAt} airport={flight?.origin} />
        <Place name="To" at={flight?.arrivesAt} airport={flight?.destination} />
        <div className="day">
          <dt>Departs</dt>
          <dd>{flight ? <Day flight={flight} /> : '–'}</dd>
        </div>
      </dl>
      <dl>
        {ORDER.map((cabin) => {
          const fare = flight && 'fares' in flight ? fareOf(flight, cabin) : null;
          return (
            <div key={cabin}>
              <dt>
                {CABINS[cabin].name}
                {fare && (
                  <span className="price">
                    <span className="comma">, </span>
                    {money(fare.price)}
                  </span>
                )}
              </dt>
              <dd>
                {freeIn(seats, cabin) ?? '–'} <small>of {CABINS[cabin].seats} free</small>
              </dd>
            </div>
          );
        })}
      </dl>
    </div>
  );
}

function Place({ name, at, airport }: { name: string; at: string | undefined; airport: Flight['origin'] | undefined }) {
  return (
    <div>
      <dt>{airport?.city ?? name}</dt>
      <dd>
        {at && airport ? (
          <>
            {airport.code} <AirportTime at={at} timeZone={airport.timeZone} />
          </>
        ) : (
          '–'
        )}
      </dd>
    </div>
  );
}

function Day({ flight }: { flight: Flight }) {
  const hours = (Date.parse(flight.departsAt) - useNow()) / 3_600_000;
  const day = new Intl.DateTimeFormat('en-GB', {
    timeZone: flight.origin.timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
  }).format(new Date(flight.departsAt));
  return (
    <>
      {day.replaceAll(',', '')} <small>{distance(hours)}</small>
    </>
  );
}

function distance(hours: number): string {
  if (hours < 0) return 'departed';
  return `in ${hours < 48 ? plural(Math.ceil(hours), 'hour') : plural(Math.floor(hours / 24), 'day')}`;
}
