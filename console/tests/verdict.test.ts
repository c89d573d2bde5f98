import { expect, test } from 'vitest';
import type { SagaStep } from '../src/api/saga.graphql';
import { nextToTry, verdictOf } from '../src/views/incidents/verdict';
import { bookingSteps, saga } from './sagas';

/** Stuck at the undo of the payment; its next try is at an instant, or is under way. */
function stuckSteps(nextAttemptAt: string | null): SagaStep[] {
  return bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['PENDING', 'STUCK']).map((step) =>
    step.undo?.status === 'STUCK' ? { ...step, undo: { ...step.undo, nextAttemptAt } } : step,
  );
}

test('a saga that is no longer stuck went on', () => {
  expect(verdictOf(saga('COMPENSATING', { sequence: 9 }), 8)).toBe('went on');
  expect(verdictOf(saga('COMPLETED', { sequence: 9 }), 8)).toBe('went on');
});

test('a saga failed again once a later try is set after its trial', () => {
  const steps = stuckSteps('2026-11-23T08:31:00Z');
  expect(verdictOf(saga('STUCK', { sequence: 10, steps }), 8)).toBe('failed again');
  expect(verdictOf(saga('PARKED', { sequence: 10 }), 8)).toBe('failed again');
});

test('until its log goes on, and while it is being tried, nothing is known', () => {
  expect(verdictOf(saga('STUCK', { sequence: 8, steps: stuckSteps('2026-11-23T08:31:00Z') }), 8)).toBe('trying');
  expect(verdictOf(saga('STUCK', { sequence: 9, steps: stuckSteps(null) }), 8)).toBe('trying');
});

test('a saga that failed again does not stand before the others for ever', () => {
  const sagas = [{ correlationId: 'a' }, { correlationId: 'b' }];
  expect(nextToTry(sagas, new Set())).toBe(sagas[0]);
  expect(nextToTry(sagas, new Set(['a']))).toBe(sagas[1]);
  expect(nextToTry(sagas, new Set(['a', 'b']))).toBe(sagas[0]);
  expect(nextToTry([], new Set(['a']))).toBeUndefined();
});
