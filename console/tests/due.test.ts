import { expect, test } from 'vitest';
import { dueAt } from '../src/pieces/due';

const AT = '2030-03-02T10:00:00Z';
const NOW = Date.parse(AT);

test('a try that is overdue stands in line, and is not said to come now', () => {
  expect(dueAt(AT, NOW - 1)).toBe('later');
  expect(dueAt(AT, NOW + 1)).toBe('now');
  expect(dueAt(AT, NOW + 5_000)).toBe('in line');
  expect(dueAt(null, NOW)).toBe('in line');
});
