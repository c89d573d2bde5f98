import type { CabinClass } from '../../api/generated/graphql';
import { money } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import type { Claim } from '../../seats/looks';
import { CABINS } from '../../seats/plan';
import { Choices } from './choices';
import { totalOf } from './prices';
import { type Change, nameOf, PEOPLE_MAX, type Setup } from './setup';
import type { Offer } from './test.graphql';

const CABIN_NAMES = (['ECONOMY', 'BUSINESS', 'FIRST'] as const satisfies readonly CabinClass[]).map(
  (cabin) => [cabin, CABINS[cabin].name] as const,
);

/** Who flies, in which cabin; `claims` are the seats on the flight whose map is shown, `turn` whose seat is next. */
export function PassengersSection({
  setup,
  change,
  flights,
  claims,
  turn,
  onTurn,
  onRemove,
}: {
  setup: Setup;
  change: Change;
  flights: readonly Offer[];
  claims: ReadonlyMap<string, Claim>;
  turn: number;
  onTurn: (index: number) => void;
  onRemove: (index: number) => void;
}) {
  const { people } = setup;
  const each = totalOf(flights, setup.cabin, 1);
  return (
    <section>
      <div className="heading">
        <h2>Passengers</h2>
        <span>{each && `${people.length} x ${money(each)}`}</span>
        <button
          type="button"
          className="btn small"
          disabled={people.length === PEOPLE_MAX}
          aria-label="Add a passenger"
          onClick={() => change({ people: [...people, nameOf(people.length)] })}
        >
          <Icon name="plus" />
          Add
        </button>
      </div>
      <Choices label="Cabin" options={CABIN_NAMES} value={setup.cabin} onChange={(cabin) => change({ cabin })} />
      <ol className="people">
        {people.map((name, index) => (
          <li key={index}>
            <input
              className="input"
              aria-label={`Passenger ${index + 1}`}
              autoComplete="off"
              maxLength={200}
              value={name}
              onChange={({ target }) =>
                change({ people: people.map((old, at) => (at === index ? target.value : old)) })
              }
            />
            <SeatOf index={index} claims={claims} isNext={turn === index} onTurn={onTurn} />
            <button
              type="button"
              className="icon-btn"
              disabled={people.length === 1}
              aria-label={`Remove ${name || `passenger ${index + 1}`}`}
              onClick={() => onRemove(index)}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The passenger's seat, as it stands on the map; pressed, it is the next to be chosen. */
function SeatOf({
  index,
  claims,
  isNext,
  onTurn,
}: {
  index: number;
  claims: ReadonlyMap<string, Claim>;
  isNext: boolean;
  onTurn: (index: number) => void;
}) {
  const own = [...claims].filter(([, claim]) => claim.passenger === index + 1);
  const [number, claim] = own.find(([, { state }]) => state === 'chosen') ?? own[0] ?? [null, null];
  return (
    <button
      type="button"
      className="seatno"
      data-claim={claim?.state}
      aria-pressed={isNext}
      aria-label={`Seat of passenger ${index + 1}: ${number ?? 'any'}`}
      title={number === null ? 'Allocated, unless you choose one' : undefined}
      onClick={() => onTurn(index)}
    >
      {number ?? 'any'}
    </button>
  );
}
