import type { Saga } from '../../api/saga.graphql';
import type { Seat } from '../../api/seats.graphql';
import type { Claim } from '../../seats/looks';

/** A seat number or null for each passenger. */
export type Choice = readonly (string | null)[];

/** Which seats of a flight are yours: those of the saga that is shown, then those chosen for the next. */
export function claimsOn(flightId: string, saga: Saga | null, choice: Choice): ReadonlyMap<string, Claim> {
  const claims = new Map<string, Claim>();
  if (saga !== null) {
    for (const [number, passenger, status] of seatsOf(saga, flightId)) {
      if (status === 'CONFIRMED') claims.set(number, { passenger, state: 'booked' });
      if (status === 'HELD') {
        claims.set(number, { passenger, state: isTurned(saga) ? 'releasing' : 'held' });
      }
    }
  }
  choice.forEach((number, index) => {
    if (number !== null && !claims.has(number)) claims.set(number, { passenger: index + 1, state: 'chosen' });
  });
  return claims;
}

/** Whether it is on its way back, or stuck there. */
export function isTurned(saga: Saga): boolean {
  return saga.steps.some((step) => step.undo !== null);
}

type Reservation = Saga['reservations'][number];

/** Number, 1-based passenger and status of each seat that the saga claims, or has claimed, on a flight. */
export function seatsOf(saga: Saga, flightId: string): [string, number, Reservation['status']][] {
  const free = saga.passengers.map((passenger, index) => ({ ...passenger, number: index + 1 }));
  return saga.reservations
    .filter((reservation) => reservation.flight.id === flightId)
    .map((reservation) => {
      const { givenName, familyName } = reservation.passenger;
      const index = free.findIndex((one) => one.givenName === givenName && one.familyName === familyName);
      const [passenger] = free.splice(Math.max(index, 0), 1);
      return [reservation.seat.number, passenger?.number ?? 1, reservation.status];
    });
}

/** The choice as far as it can still be had; seats that others took meanwhile are let go. */
export function stillFree(choice: Choice, seats: ReadonlyMap<string, Seat>): Choice {
  return choice.map((number) => (number !== null && isGone(seats.get(number)) ? null : number));
}

function isGone(seat: Seat | undefined): boolean {
  return seat !== undefined && seat.status !== 'AVAILABLE';
}

/** Give a seat to the passenger whose turn it is; choosing one's own seat gives it back. */
export function choose(choice: Choice, number: string, turn: number): Choice {
  if (choice.includes(number)) return choice.map((chosen) => (chosen === number ? null : chosen));
  return choice.map((chosen, index) => (index === turn ? number : chosen));
}

/** Whose turn it is: the one asked for, else the first without a seat, else the last. */
export function turnOf(choice: Choice, wanted: number | null): number {
  if (wanted !== null && wanted < choice.length) return wanted;
  const without = choice.indexOf(null);
  return without >= 0 ? without : choice.length - 1;
}
