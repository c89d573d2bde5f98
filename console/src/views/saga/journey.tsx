import type { SeatReservationStatus } from '../../api/generated/graphql';
import type { Flight, Saga } from '../../api/saga.graphql';
import { Panel } from '../../pieces/panel';
import { AirportTime, Countdown } from '../../pieces/times';
import { Badge } from '../../saga/badge';
import type { StateName } from '../../saga/states';

const SEATS: Readonly<Record<SeatReservationStatus, { state: StateName; word: string }>> = {
  HELD: { state: 'held', word: 'Held' },
  CONFIRMED: { state: 'completed', word: 'Confirmed' },
  RELEASED: { state: 'compensated', word: 'Released' },
  EXPIRED: { state: 'skipped', word: 'Lapsed' },
};

/** Each flight of the saga with its passengers, and the seat of each where there is or was one. */
export function Journey({ saga }: { saga: Saga }) {
  const several = saga.flights.length > 1;
  return saga.flights.map((flight, index) => (
    <Panel
      key={`${flight.id}-${index}`}
      title={several ? `Flight ${index + 1}` : 'Flight'}
      end={<span className="mono">{flight.number}</span>}
    >
      <div className="pad">
        <Leg flight={flight} />
        <Seats saga={saga} flight={flight} />
      </div>
    </Panel>
  ));
}

function Leg({ flight: { origin, destination, departsAt, arrivesAt } }: { flight: Flight }) {
  return (
    <dl className="facts leg-facts">
      <dt>From</dt>
      <dd>
        {origin.city} <span className="mono">{origin.code}</span>
        <br />
        <AirportTime at={departsAt} timeZone={origin.timeZone} day /> <span className="quiet">local time</span>
      </dd>
      <dt>To</dt>
      <dd>
        {destination.city} <span className="mono">{destination.code}</span>
        <br />
        <AirportTime at={arrivesAt} timeZone={destination.timeZone} day /> <span className="quiet">local time</span>
      </dd>
    </dl>
  );
}

function Seats({ saga, flight }: { saga: Saga; flight: Flight }) {
  const claims = saga.reservations.filter((reservation) => reservation.flight.id === flight.id);
  if (claims.length === 0) {
    return (
      <ul className="seat-lines" aria-label="Passengers">
        {saga.passengers.map(({ givenName, familyName }, index) => (
          <li key={index}>
            {givenName} {familyName}
            <span className="end quiet">no seat</span>
          </li>
        ))}
      </ul>
    );
  }
  return (
    <ul className="seat-lines" aria-label="Seats">
      {claims.map(({ id, seat, passenger, status, expiresAt }) => (
        <li key={id}>
          <span className="mono">{seat.number}</span> {passenger.givenName} {passenger.familyName}
          <span className="end">
            {status === 'HELD' && <Countdown until={expiresAt} />} <Badge {...SEATS[status]} />
          </span>
        </li>
      ))}
    </ul>
  );
}
