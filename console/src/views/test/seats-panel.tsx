import type { CabinClass } from '../../api/generated/graphql';
import type { LiveState } from '../../api/live';
import type { Flight } from '../../api/saga.graphql';
import type { Seat } from '../../api/seats.graphql';
import { Aircraft } from '../../seats/aircraft';
import { Holds } from '../../seats/holds';
import { Legend } from '../../seats/legend';
import type { Claim } from '../../seats/looks';
import { Choices } from './choices';
import { FlightBoard } from './flight-board';
import type { Offer } from './test.graphql';

/** The flight and its live map of seats; for a round trip, one of the two. */
export function SeatsPanel({
  flights,
  shown,
  onShow,
  seats,
  error,
  cabin,
  claims,
  onChoose,
}: {
  flights: readonly (Flight | Offer)[];
  shown: number;
  onShow: (index: number) => void;
  seats: ReadonlyMap<string, Seat>;
  error: LiveState['error'];
  cabin: CabinClass;
  claims: ReadonlyMap<string, Claim>;
  onChoose: (number: string) => void;
}) {
  const flight = flights[shown] ?? null;
  return (
    <section className="panel full" id="seats" aria-labelledby="seats-title">
      <h2 className="vh" id="seats-title">
        Seats
      </h2>
      <FlightBoard flight={flight} seats={seats} />
      {flights.length > 1 && (
        <div className="legs">
          <Choices
            label="Which flight’s seats"
            options={flights.map(
              (leg, index) => [String(index), `${index === 0 ? 'There' : 'Back'}, ${leg.number}`] as const,
            )}
            value={String(shown)}
            onChange={(index) => onShow(Number(index))}
          />
        </div>
      )}
      <div className="pad aircraft">
        <Aircraft
          key={flight?.id ?? 'none'}
          label={flight ? `Seats of ${flight.number}` : 'Seats; no flight is chosen'}
          seats={seats}
          cabin={cabin}
          claims={claims}
          onChoose={onChoose}
        />
        <div className="side">
          <Legend />
          {error === null ? (
            <Holds seats={seats} claims={claims} />
          ) : (
            <p role="alert" className="seats-trouble">
              The seats could not be followed: {error.message}
            </p>
          )}
        </div>
      </div>
    </section>
  );
}
