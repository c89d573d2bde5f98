import { describe, expect, test } from 'vitest';
import { type Bounds, narrowed, offsetWithin } from '../src/api/clock';

const UNKNOWN: Bounds = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

/** As a Date header tells it that is `lateMs` late, in an answer that took 20 ms, where the server is `ahead`. */
function dated(ahead: number, lateMs: number): Bounds {
  return { low: ahead - lateMs - 10, high: ahead - lateMs + 2_000 + 10 };
}

function learned(samples: readonly Bounds[]): number {
  return offsetWithin(samples.reduce(narrowed, UNKNOWN));
}

describe('by how much the server is ahead', () => {
  test('is nothing before it is known, and where the clocks may be the same', () => {
    expect(learned([])).toBe(0);
    expect(learned([dated(0, 0), dated(0, 1_900), dated(0, 700)])).toBe(0);
    expect(learned([dated(0, 900), { low: -5, high: Number.POSITIVE_INFINITY }])).toBe(0);
  });

  test.each([600_000, -600_000])('is found by answers and by live instants, %d ms', (ahead) => {
    const answers = [dated(ahead, 1_400), dated(ahead, 300), dated(ahead, 1_900)];
    expect(Math.abs(learned(answers) - ahead)).toBeLessThan(500);
    expect(learned([...answers, { low: ahead - 4, high: Number.POSITIVE_INFINITY }])).toBe(ahead - 4);
  });

  test('is not moved by instants that are long past', () => {
    expect(learned([dated(-60_000, 200), { low: -3_600_000, high: Number.POSITIVE_INFINITY }])).toBe(-60_210);
  });

  test('is found anew after a clock was set', () => {
    expect(Math.abs(learned([dated(0, 500), dated(90_000, 500)]) - 90_000)).toBeLessThan(2_000);
    expect(learned([dated(90_000, 500), dated(0, 500)])).toBe(0);
  });
});
