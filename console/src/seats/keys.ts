import { LETTERS, ROWS, seatNumber } from './plan';

/** How the aircraft lies: its nose to the left, or up. */
export type Lie = 'left' | 'up';

type Step = readonly [rows: number, letters: number];

/** A is drawn at the bottom where the nose is to the left, and at the left where it is up. */
const STEPS: Readonly<Record<Lie, Readonly<Record<string, Step>>>> = {
  left: { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] },
  up: { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] },
};

/** Where a key leads from a seat: arrows to the next as drawn, Home and End along its row. Null: it is no such key. */
export function seatAfter(key: string, from: { row: number; letter: string }, lie: Lie): string | null {
  const column = (LETTERS as readonly string[]).indexOf(from.letter);
  if (key === 'Home') return seatNumber(from.row, LETTERS[0]);
  if (key === 'End') return seatNumber(from.row, LETTERS[LETTERS.length - 1] ?? 'F');
  const step = STEPS[lie][key];
  if (step === undefined) return null;
  const row = clamp(from.row + step[0], 1, ROWS);
  return seatNumber(row, LETTERS[clamp(column + step[1], 0, LETTERS.length - 1)] ?? 'A');
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}
