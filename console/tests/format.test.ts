import { describe, expect, test } from 'vitest';
import { left, spokenLeft } from '../src/pieces/format';

describe('a countdown', () => {
  test.each([
    [900_000, '15:00'],
    [899_001, '15:00'],
    [899_000, '14:59'],
    [60_001, '01:01'],
    [1, '00:01'],
    [0, '00:00'],
    [-5_000, '00:00'],
    [3_600_000, '1:00:00'],
  ])('with %d ms left shows %s', (milliseconds, shown) => {
    expect(left(milliseconds)).toBe(shown);
  });

  test('is spoken when it passes a mark, not each second', () => {
    const said = Array.from({ length: 780 }, (_, second) => {
      const now = (780 - second) * 1_000;
      return spokenLeft(now, now - 1_000);
    }).filter((words) => words !== null);
    expect(said).toEqual([
      '10 minutes left',
      '5 minutes left',
      '2 minutes left',
      '1 minute left',
      '30 seconds left',
      '10 seconds left',
      'the time is up',
    ]);
  });

  test('that slept says the last mark that it passed', () => {
    expect(spokenLeft(700_000, 25_000)).toBe('30 seconds left');
    expect(spokenLeft(5_000, -90_000)).toBe('the time is up');
    expect(spokenLeft(-1_000, -2_000)).toBeNull();
  });
});
