import { duration } from '../pieces/format';

/** Up to here time is drawn as it is; beyond, by its logarithm, so that what was short stays visible. */
const LINEAR_MS_MAX = 60_000;
/** What a logarithmic scale still tells apart. */
const GRAIN_MS = 50;
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000] as const;
const DECADES_MS = [100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 86_400_000, 864_000_000] as const;
const TICKS_MAX = 5;

/** Where an instant stands, as a percentage of the width. */
export interface Scale {
  readonly isLogarithmic: boolean;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
  at(milliseconds: number): number;
}

/** A scale from the saga's start over `total` milliseconds. */
export function scaleOf(total: number): Scale {
  const whole = Math.max(1, total);
  const isLogarithmic = whole > LINEAR_MS_MAX;
  const at = isLogarithmic
    ? (ms: number) => (Math.log1p(Math.max(0, ms) / GRAIN_MS) / Math.log1p(whole / GRAIN_MS)) * 100
    : (ms: number) => (Math.max(0, ms) / whole) * 100;
  const marks = isLogarithmic ? DECADES_MS.filter((ms) => ms < whole * 0.7) : linearMarks(whole);
  const ticks = [{ at: 0, label: '0' }, ...marks.map((ms) => ({ at: at(ms), label: shortly(ms) }))];
  return { isLogarithmic, ticks, at };
}

function linearMarks(whole: number): number[] {
  const step = STEPS_MS.find((ms) => whole / ms <= TICKS_MAX) ?? 20_000;
  return Array.from({ length: Math.floor((whole * 0.95) / step) }, (_, index) => (index + 1) * step);
}

/** 0.1 s, 10 s, 1 min, 1 h: as short as a tick needs it. */
function shortly(ms: number): string {
  if (ms < 100 || ms >= 60_000) return ms === 60_000 ? '1 min' : duration(ms);
  return `${ms / 1_000} s`;
}
