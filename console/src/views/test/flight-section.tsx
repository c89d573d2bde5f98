import { useId } from 'react';
import type { CabinClass, TimetableQuery } from '../../api/generated/graphql';
import { count } from '../../pieces/format';
import { AirportTime } from '../../pieces/times';
import { Choices } from './choices';
import type { Found } from './flight-search';
import { fareOf } from './prices';
import { type Change, DAYS_AWAY, daysLater, localDate, type Setup } from './setup';
import type { Offer } from './test.graphql';

const TRIPS = [
  ['ONE_WAY', 'One way'],
  ['ROUND_TRIP', 'Round trip'],
] as const;

/** Where, when, and which of the flights that there are. */
export function FlightSection({
  setup,
  change,
  airports,
  found,
}: {
  setup: Setup;
  change: Change;
  airports: TimetableQuery['airports'];
  found: Found;
}) {
  const isRound = setup.trip === 'ROUND_TRIP';
  const journey = (part: Partial<Setup>): void => change({ flight: null, flightBack: null, ...part });
  const turn = (trip: Setup['trip']): void =>
    journey({ trip, back: setup.back ?? (setup.on === null ? null : daysLater(setup.on, DAYS_AWAY)) });
  return (
    <section>
      <h2>
        Flight <span>times local to each airport</span>
      </h2>
      <Choices label="Trip" options={TRIPS} value={setup.trip} onChange={turn} />
      <div className="g2">
        <AirportField name="From" airports={airports} value={setup.from} onChange={(from) => journey({ from })} />
        <AirportField name="To" airports={airports} value={setup.to} onChange={(to) => journey({ to })} />
        <DateField name="On" value={setup.on} onChange={(on) => journey({ on })} />
        <DateField
          name="Back on"
          value={isRound ? setup.back : null}
          isDisabled={!isRound}
          onChange={(back) => journey({ back })}
        />
      </div>
      <Flights
        label="Flights there"
        flights={found.outbound}
        chosen={found.chosen[0] ?? null}
        cabin={setup.cabin}
        found={found}
        onChoose={(flight) => change({ flight })}
        onNextDay={() => setup.on !== null && journey({ on: daysLater(setup.on, 1) })}
      />
      {isRound && (
        <Flights
          label="Flights back"
          flights={found.inbound}
          chosen={found.chosen[1] ?? null}
          cabin={setup.cabin}
          found={found}
          onChoose={(flightBack) => change({ flightBack })}
          onNextDay={() => setup.back !== null && journey({ back: daysLater(setup.back, 1) })}
        />
      )}
    </section>
  );
}

function AirportField({
  name,
  airports,
  value,
  onChange,
}: {
  name: string;
  airports: TimetableQuery['airports'];
  value: string | null;
  onChange: (code: string) => void;
}) {
  const isKnown = airports.some((airport) => airport.code === value);
  return (
    <label className="field">
      <span>{name}</span>
      <select className="input" value={value ?? ''} onChange={(event) => onChange(event.target.value)}>
        {!isKnown && <option value={value ?? ''}>{value ?? ''}</option>}
        {airports.map(({ code, city }) => (
          <option key={code} value={code}>
            {code} {city}
          </option>
        ))}
      </select>
    </label>
  );
}

function DateField({
  name,
  value,
  isDisabled = false,
  onChange,
}: {
  name: string;
  value: string | null;
  isDisabled?: boolean;
  onChange: (date: string) => void;
}) {
  return (
    <label className="field">
      <span>{name}</span>
      <input
        className="input"
        type="date"
        required
        disabled={isDisabled}
        value={value ?? ''}
        onChange={(event) => event.target.value !== '' && onChange(event.target.value)}
      />
    </label>
  );
}

function Flights({
  label,
  flights,
  chosen,
  cabin,
  found,
  onChoose,
  onNextDay,
}: {
  label: string;
  flights: readonly Offer[];
  chosen: Offer | null;
  cabin: CabinClass;
  found: Found;
  onChoose: (number: string) => void;
  onNextDay: () => void;
}) {
  const name = useId();
  return (
    <div className="flights" role="radiogroup" aria-label={label} tabIndex={flights.length > 2 ? 0 : undefined}>
      {flights.map((flight) => (
        <label key={flight.id}>
          <input
            type="radio"
            name={name}
            checked={flight.id === chosen?.id}
            onChange={() => onChoose(flight.number)}
            aria-label={`${flight.number}, ${count(fareOf(flight, cabin)?.seatsAvailable ?? 0)} seats free`}
          />
          <span className="mono">{flight.number}</span>
          <span>
            <AirportTime at={flight.departsAt} timeZone={flight.origin.timeZone} /> to{' '}
            <AirportTime at={flight.arrivesAt} timeZone={flight.destination.timeZone} />
            <DaysOn flight={flight} />
          </span>
          <small>{count(fareOf(flight, cabin)?.seatsAvailable ?? 0)} free</small>
        </label>
      ))}
      {flights.length === 0 && <None found={found} onNextDay={onNextDay} />}
    </div>
  );
}

function None({ found, onNextDay }: { found: Found; onNextDay: () => void }) {
  if (found.isLoading) return <p role="status">Loading flights</p>;
  if (found.trouble !== null) {
    return (
      <p role="alert">
        <strong>{found.trouble.title}</strong>
        <button type="button" className="btn small" onClick={found.again}>
          Try again
        </button>
      </p>
    );
  }
  return (
    <p role="status">
      <strong>No flights found</strong>
      <span>No flight of that day has enough seats.</span>
      <button type="button" className="btn small" onClick={onNextDay}>
        Next day
      </button>
    </p>
  );
}

/** "+1" where it arrives a day later, by the clocks of both places. */
function DaysOn({ flight }: { flight: Offer }) {
  const leaves = Date.parse(localDate(flight.departsAt, flight.origin.timeZone));
  const days = (Date.parse(localDate(flight.arrivesAt, flight.destination.timeZone)) - leaves) / 86_400_000;
  if (days === 0) return null;
  return <small title="days later"> {days > 0 ? `+${days}` : days}</small>;
}
