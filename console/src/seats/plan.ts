import type { CabinClass } from '../api/generated/graphql';
import type { Seat } from '../api/seats.graphql';

/** The aircraft as every flight has it: 27 rows of six, drawn in the cabins that they are sold as. */
export const LETTERS = ['A', 'B', 'C', 'D', 'E', 'F'] as const;
export const ROWS = 27;

export interface Section {
  readonly name: string;
  readonly className: 'first' | 'business' | 'economy';
  readonly rows: readonly number[];
}

const FIRST_ECONOMY_ROW = 4;

export const SECTIONS: readonly Section[] = [
  { name: 'First or Business', className: 'first', rows: [1, 2] },
  { name: 'Business', className: 'business', rows: [3] },
  {
    name: 'Economy',
    className: 'economy',
    rows: Array.from({ length: ROWS - FIRST_ECONOMY_ROW + 1 }, (_, index) => FIRST_ECONOMY_ROW + index),
  },
];

export const CABINS: Readonly<Record<CabinClass, { readonly name: string; readonly seats: number }>> = {
  FIRST: { name: 'First', seats: 12 },
  BUSINESS: { name: 'Business', seats: 18 },
  ECONOMY: { name: 'Economy', seats: 144 },
};

export function seatNumber(row: number, letter: string): string {
  return `${row}${letter}`;
}

/** How many seats of a cabin are free; null while the seats have not come. */
export function freeIn(seats: ReadonlyMap<string, Seat>, cabin: CabinClass): number | null {
  if (seats.size === 0) return null;
  return [...seats.values()].filter((seat) => seat.status === 'AVAILABLE' && seat.cabinClasses.includes(cabin)).length;
}
