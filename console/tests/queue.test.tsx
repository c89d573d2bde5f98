import { renderToStaticMarkup } from 'react-dom/server';
import { expect, test } from 'vitest';
import type { Saga } from '../src/api/saga.graphql';
import { Queue } from '../src/saga/queue';
import { bookingSteps, saga } from './sagas';

const EMPTY = saga('PENDING').queue;

/** The text of each row and of each entry of the stack, in the order of the page. */
function drawn(subject: Saga): string[] {
  const page = renderToStaticMarkup(<Queue saga={subject} />);
  return [...page.matchAll(/<(?:dd|li)[^>]*>(.*?)<\/(?:dd|li)>/g)].map(([, inner]) =>
    (inner ?? '')
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

test('a booking under way: steps in their rows, what would be undone as a stack', () => {
  const queue = {
    ...EMPTY,
    pending: ['AWARD_MILES' as const, 'CONFIRM_BOOKING' as const],
    executing: 'AUTHORIZE_PAYMENT' as const,
    completed: ['RESERVE_SEAT' as const],
    compensations: ['CANCEL_SEAT' as const],
  };
  expect(drawn(saga('RUNNING', { queue, steps: bookingSteps(['COMPLETED', 'EXECUTING']) }))).toEqual([
    'Award miles Confirm booking',
    'Authorize payment',
    'Reserve seat',
    '',
    'Cancel seat',
  ]);
});

test('a booking that is undone: the compensation under way once, below what is undone', () => {
  const queue = {
    ...EMPTY,
    completed: ['RESERVE_SEAT' as const, 'AUTHORIZE_PAYMENT' as const],
    failed: ['AWARD_MILES' as const],
    compensated: ['CANCEL_PAYMENT' as const],
    compensating: 'CANCEL_SEAT' as const,
    compensations: ['CANCEL_SEAT' as const],
  };
  const steps = bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['EXECUTING', 'COMPLETED']);
  expect(drawn(saga('COMPENSATING', { queue, steps }))).toEqual([
    '',
    'Cancel seat',
    'Reserve seat Authorize payment',
    'Award miles',
    'Cancel payment undone',
    'Cancel seat now',
  ]);
});

test('a saga that is never undone has no stack', () => {
  const steps = bookingSteps(['EXECUTING']).map((step) => ({ ...step, compensation: null }));
  expect(drawn(saga('RUNNING', { steps }))).toHaveLength(4);
});
