import { zone } from '../../pieces/zone';

/** Round marks from 0 on that reach `highest`: 0, 50, 100. */
export function marksTo(highest: number): number[] {
  const rough = Math.max(highest, 1) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? power * 10);
  const marks: number[] = [];
  for (let mark = 0; mark < highest + step; mark += step) marks.push(mark);
  return marks;
}

/** Powers of ten of milliseconds that hold all values: 10 ms, 0.1 s, 1 s. */
export function decadesOf(values: readonly number[]): number[] {
  const lowest = Math.floor(Math.log10(Math.max(1, Math.min(...values))));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(1, ...values))));
  return Array.from({ length: highest - lowest + 1 }, (_, index) => 10 ** (lowest + index));
}

const clocks = {
  local: new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' }),
  utc: new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', hour: '2-digit', minute: '2-digit' }),
};

/** 14:10: where a stretch begins. */
export function clockOf(at: string): string {
  return clocks[zone.get()].format(new Date(at));
}

/** Every how many stretches one is named, for labels of `labelWidth` pixels. */
export function everyOf(stretchWidth: number, labelWidth = 52): number {
  return [1, 2, 3, 4, 6, 12].find((every) => every * stretchWidth >= labelWidth) ?? 24;
}
