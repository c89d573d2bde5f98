import { describe, expect, test } from 'vitest';
import { cause, sentenceOf, stuckAt } from '../src/saga/sentence';
import { bookingSteps, saga } from './sagas';

const failure = { code: 'SIMULATED', message: '', step: 'AWARD_MILES' as const };

describe('sentenceOf', () => {
  test('names the step that is under way', () => {
    expect(sentenceOf(saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'EXECUTING']) }))).toBe(
      'Booking: authorize payment.',
    );
  });

  test('names the next step while none is under way', () => {
    expect(sentenceOf(saga('RUNNING', { steps: bookingSteps(['COMPLETED']) }))).toBe('Booking: authorize payment.');
  });

  test('says that a step is tried again', () => {
    expect(sentenceOf(saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'RETRYING']) }))).toBe(
      'Authorize payment did not succeed yet. It is tried again.',
    );
  });

  test('says what the customer is waited for', () => {
    const until = '2026-11-23T08:43:00Z';
    const failure = { code: 'CARD_EXPIRED', message: '' };
    const cases = [
      [{ __typename: 'PaymentAwaited', lastFailure: null }, 'Seats held. Waiting for a card.'],
      [
        { __typename: 'PaymentAwaited', lastFailure: failure },
        'Payment refused. Seats still held, waiting for another card.',
      ],
      [
        { __typename: 'PaymentAwaited', lastFailure: { ...failure, code: 'CARD_NOT_CONFIRMED' } },
        'The card’s holder refused. Seats still held, waiting for another card.',
      ],
      [{ __typename: 'CardConfirmationAwaited', lastFailure: null }, 'Seats held. The bank asks the card’s holder.'],
      [null, 'Seats held. Waiting for the customer.'],
    ] as const;
    for (const [awaited, said] of cases) {
      const awaiting = awaited && ({ ...awaited, until } as never);
      expect(sentenceOf(saga('WAITING', { awaiting }))).toBe(said);
    }
  });

  test('counts the compensations that are done', () => {
    const steps = bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['EXECUTING', 'COMPLETED']);
    expect(sentenceOf(saga('COMPENSATING', { steps, failure }))).toBe('Award miles failed. Undoing: 1 of 2 done.');
  });

  test('says when nothing had to be undone', () => {
    const refused = { code: 'SEAT_UNAVAILABLE', message: '', step: 'RESERVE_SEAT' as const };
    expect(sentenceOf(saga('COMPENSATED', { steps: bookingSteps(['FAILED']), failure: refused }))).toBe(
      'Not enough seats. Nothing had to be undone.',
    );
  });

  test('gives the booking reference', () => {
    const booking = { reference: 'NBG489' } as never;
    expect(sentenceOf(saga('COMPLETED', { booking }))).toBe('Booked: NBG489.');
    expect(sentenceOf(saga('COMPLETED', { booking, definition: 'CANCEL_BOOKING' }))).toBe(
      'Booking NBG489 is cancelled.',
    );
  });

  test('says what an operator gave up', () => {
    const steps = bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['COMPLETED', 'SKIPPED']);
    expect(sentenceOf(saga('ABANDONED', { steps, failure }))).toBe(
      'Award miles failed. Cancel payment was given up by an operator.',
    );
  });
});

test('what only a newer release knows is told by its own name', () => {
  const status = 'LEVITATING' as never;
  expect(sentenceOf(saga(status))).toBe('Levitating.');
  expect(cause(saga('COMPENSATED', { failure: { ...failure, step: 'SCREEN_PASSENGERS' as never } }))).toBe(
    'Screen passengers failed.',
  );
});

test('a stuck compensation is named before a stuck step', () => {
  expect(stuckAt(saga('STUCK', { steps: bookingSteps(['COMPLETED', 'COMPLETED', 'FAILED'], ['STUCK']) }))).toBe(
    'CANCEL_SEAT',
  );
  expect(stuckAt(saga('STUCK', { steps: bookingSteps(['COMPLETED', 'STUCK']) }))).toBe('AUTHORIZE_PAYMENT');
  expect(stuckAt(saga('RUNNING'))).toBeNull();
});

test('a cause without a failure is said plainly', () => {
  expect(cause(saga('COMPENSATED'))).toBe('The saga ended early.');
  expect(cause(saga('COMPENSATED', { failure: { code: 'NEW', message: '', step: null } }))).toBe('Failed.');
});
