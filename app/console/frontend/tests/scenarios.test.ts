import { expect, test, vi } from 'vitest';
import { differencesOf, expectedOf, SCENARIOS } from '../src/views/test/scenarios';

// The module opens the page's socket as soon as it is loaded, and there is no page.
vi.mock('../src/api/socket', () => ({}));

test('each of the two bookings succeeds once and fails once at each of its steps', () => {
  const named = SCENARIOS.map(({ pays, failing }) => `${pays} ${failing ?? 'succeeds'}`);
  expect(named).toHaveLength(10);
  expect(new Set(named).size).toBe(10);
});

test('a failure undoes exactly what was done before it, last first', () => {
  const { status, completed, compensations, payment, booking } = expectedOf({
    pays: 'earn',
    failing: 'CONFIRM_BOOKING',
  });
  expect({ status, completed, compensations, payment, booking }).toEqual({
    status: 'COMPENSATED',
    completed: ['RESERVE_SEAT', 'AUTHORIZE_PAYMENT', 'AWARD_MILES'],
    compensations: ['REVERSE_MILES', 'CANCEL_PAYMENT', 'CANCEL_SEAT'],
    payment: 'VOIDED',
    booking: false,
  });
});

test('what differs is named with both values', () => {
  const expected = expectedOf({ pays: 'redeem', failing: null });
  expect(differencesOf(expected, expected)).toEqual([]);
  expect(differencesOf(expected, { ...expected, payment: null })).toEqual(['payment: expected "CAPTURED", seen null']);
});
