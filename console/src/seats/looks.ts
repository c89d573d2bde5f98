import type { CabinClass } from '../api/generated/graphql';
import type { Seat } from '../api/seats.graphql';
import { CABINS } from './plan';

/** A seat that is yours: chosen, held or booked for one of your passengers, or about to be given up. */
export interface Claim {
  /** 1-based. */
  readonly passenger: number;
  readonly state: 'chosen' | 'held' | 'booked' | 'releasing';
}

export type Look = 'free' | 'held' | 'booked' | 'mine' | 'releasing' | 'unknown';

export function lookOf(seat: Seat | undefined, claim: Claim | undefined): Look {
  if (claim !== undefined) return claim.state === 'releasing' ? 'releasing' : 'mine';
  if (seat === undefined) return 'unknown';
  return seat.status === 'AVAILABLE' ? 'free' : seat.status === 'HELD' ? 'held' : 'booked';
}

/** Whether it may be chosen, or given back. */
export function isChoosable(seat: Seat | undefined, claim: Claim | undefined, cabin: CabinClass): boolean {
  if (claim !== undefined) return claim.state === 'chosen';
  return seat?.status === 'AVAILABLE' && seat.cabinClasses.includes(cabin);
}

const CLAIMED: Readonly<Record<Claim['state'], string>> = {
  chosen: 'chosen',
  held: 'held for you',
  booked: 'booked for you',
  releasing: 'being released',
};

/** What a reader hears of a seat, and why it cannot be chosen. */
export function spokenOf(number: string, seat: Seat | undefined, claim: Claim | undefined, cabin: CabinClass): string {
  if (claim !== undefined) return `${number}, ${CLAIMED[claim.state]}, passenger ${claim.passenger}`;
  if (seat === undefined) return `${number}, not known yet`;
  if (seat.status === 'BOOKED') return `${number}, booked`;
  if (seat.status === 'HELD') return `${number}, held by another booking`;
  if (!seat.cabinClasses.includes(cabin)) return `${number}, free, not in ${CABINS[cabin].name}`;
  return `${number}, free`;
}
