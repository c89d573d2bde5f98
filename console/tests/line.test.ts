import { expect, test } from 'vitest';
import { foldRetries } from '../src/saga/folding';
import { stationsOf, turnOf } from '../src/saga/stations';
import { bookingSteps, saga, tries } from './sagas';

test('a running saga moves one rail, behind its newest step', () => {
  const stations = stationsOf(saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'EXECUTING']) }));
  expect(stations.map(({ railOut }) => railOut)).toEqual(['live', 'ghost', 'ghost', 'ghost']);
});

test('a saga turns round at the step that failed, and goes back to the step that is undone', () => {
  const steps = bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['PENDING', 'COMPLETED']);
  const failed = saga('COMPENSATING', { steps, failure: { code: 'SIMULATED', message: '', step: 'AWARD_MILES' } });
  expect(turnOf(failed)).toBe(2);
  expect(stationsOf(failed).map(({ railBack }) => railBack)).toEqual(['live', 'done', 'ghost', 'ghost']);
});

test('a saga without a failure has no turn', () => {
  expect(turnOf(saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'EXECUTING']) }))).toBeNull();
});

test('long runs of retries become one fold, with two events in sight at either end', () => {
  const events = tries(8, 'AUTHORIZE_PAYMENT');
  const folded = foldRetries(events, new Set());
  expect(folded).toHaveLength(5);
  expect(folded[2]).toEqual({ key: 'event-2', events: events.slice(2, -2) });
  expect(foldRetries(events, new Set(['event-2']))).toEqual(events);
  expect(foldRetries(events.slice(0, 8), new Set())).toHaveLength(8);
});
