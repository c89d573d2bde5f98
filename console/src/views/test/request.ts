import type { SagaDefinition } from '../../api/definitions.graphql';
import type { Choice } from './claims';
import { simulationOf } from './definition';
import type { Found } from './flight-search';
import { totalOf } from './prices';
import type { Request } from './run';
import type { Setup } from './setup';
import type { Offer } from './test.graphql';

/** A flight of the journey with a seat, or none yet, for each passenger. */
export interface Leg {
  readonly flight: Offer;
  readonly seats: Choice;
}

/** The reason why the form cannot be sent; null if it can. */
export function whyNot(setup: Setup, legs: readonly Leg[], found: Found): string | null {
  const isRound = setup.trip === 'ROUND_TRIP';
  if (legs.length < (isRound ? 2 : 1)) return found.isLoading ? 'Loading flights.' : 'Choose a flight first.';
  for (const { flight, seats } of legs) {
    const without = seats.indexOf(null);
    if (without >= 0 && seats.some((seat) => seat !== null)) {
      return `${flight.number}: passenger ${without + 1} has no seat yet.`;
    }
  }
  if (setup.pays === 'redeem' && setup.member === '') return 'Name the member whose points are redeemed.';
  if (setup.pays === 'redeem' && setup.points < 1) return 'Redeem 1 point or more.';
  if (setup.when === 'now' && setup.card === '') return 'Enter the token of the card.';
  return null;
}

/** The form as the API takes it, under a new correlation ID. */
export function requestOf(setup: Setup, legs: readonly Leg[], definition: SagaDefinition): Request {
  const total = totalOf(
    legs.map((leg) => leg.flight),
    setup.cabin,
    setup.people.length,
  );
  const simulate = simulationOf(setup.faults, definition, setup.delayMs);
  const isSimulated = [simulate.failAt, simulate.loseAnswerAt, simulate.failCompensationAt].some(
    (names) => names?.length,
  );
  return {
    correlationId: crypto.randomUUID(),
    segments: legs.map(({ flight, seats }) => ({
      flightId: flight.id,
      cabinClass: setup.cabin,
      seats: seats.every((seat) => seat !== null) ? [...seats] : null,
    })),
    passengers: setup.people.map(nameParts),
    loyalty:
      setup.member === ''
        ? null
        : { memberNumber: setup.member, pointsToRedeem: setup.pays === 'redeem' ? setup.points : 0 },
    payLater: setup.when === 'later',
    payment: setup.when === 'later' ? null : { token: setup.card },
    expectedTotal: total,
    simulate: isSimulated || setup.delayMs > 0 ? simulate : null,
  };
}

/** The last word is the family's; who has one name has no other. */
function nameParts(name: string): { givenName: string; familyName: string } {
  const words = name.trim().split(/\s+/);
  return {
    givenName: words.slice(0, -1).join(' ') || (words[0] ?? ''),
    familyName: words.length > 1 ? (words.at(-1) ?? '') : '',
  };
}
