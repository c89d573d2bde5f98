import { expect, test } from 'vitest';
import type { SagaEvent } from '../src/api/saga.graphql';
import { spansOf } from '../src/saga/spans';
import { bookingSteps, saga } from './sagas';

const BEGAN = Date.parse('2026-11-23T08:30:00Z');

function event(type: SagaEvent['type'], seconds: number, isFailed = false): SagaEvent {
  return {
    type,
    step: 'AUTHORIZE_PAYMENT',
    compensation: null,
    failure: isFailed ? { code: 'PAYMENT_DECLINED', message: '', step: 'AUTHORIZE_PAYMENT' } : null,
    at: new Date(BEGAN + seconds * 1_000).toISOString(),
  } as unknown as SagaEvent;
}

test('waits for the customer stand between the tries', () => {
  const steps = bookingSteps(['COMPLETED', 'COMPLETED']);
  const events = [
    event('STEP_WAITING', 1),
    event('STEP_RESUMED', 5),
    event('STEP_STARTED', 5),
    event('STEP_WAITING', 6, true),
    event('STEP_STARTED', 9),
    event('STEP_WAITING', 10),
    event('STEP_RESUMED', 12),
    event('STEP_COMPLETED', 12),
  ];
  const span = spansOf(saga('RUNNING', { steps }), events).find(({ key }) => key === 'AUTHORIZE_PAYMENT');
  expect(span?.attempts).toEqual([
    { from: 1_000, to: 5_000, outcome: 'waiting' },
    { from: 5_000, to: 6_000, outcome: 'retrying' },
    { from: 6_000, to: 9_000, outcome: 'waiting' },
    { from: 9_000, to: 10_000, outcome: 'completed' },
    { from: 10_000, to: 12_000, outcome: 'waiting' },
  ]);
});

test('a step that waits before its first try has a row', () => {
  const waiting = saga('WAITING', {
    steps: bookingSteps(['COMPLETED', 'WAITING']).map((step) => ({ ...step, attempt: 0 })),
  });
  expect(spansOf(waiting, [event('STEP_WAITING', 1)])).toEqual([
    {
      key: 'AUTHORIZE_PAYMENT',
      name: 'Authorize payment',
      isUndo: false,
      attempts: [{ from: 1_000, to: null, outcome: 'waiting' }],
    },
  ]);
});
