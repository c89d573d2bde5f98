import { describe, expect, test } from 'vitest';
import type { SagaStatus } from '../src/api/generated/graphql';
import type { Saga, SagaEvent } from '../src/api/saga.graphql';
import { badgeOf } from '../src/saga/states';
import { hasWaited, toldOf, waitEndsAt } from '../src/views/test/hold';
import { bookingSteps, saga, step } from './sagas';

const UNTIL = '2026-11-23T08:43:00Z';
const PRICE = { amount: '358.00', currency: 'USD' };
const ASKED = { __typename: 'PaymentAwaited' as const, until: UNTIL, lastFailure: null, amount: PRICE };
const AT_THE_BANK = {
  __typename: 'CardConfirmationAwaited' as const,
  until: UNTIL,
  lastFailure: null,
  clientSecret: null,
  url: '/sandbox/confirm/pi_1_secret_0',
};

function held(awaiting: Saga['awaiting']): Saga {
  return saga('WAITING', { steps: bookingSteps(['COMPLETED', 'WAITING']), awaiting });
}

function ended(code: string, message: string, payment: Saga['payment'] = null): Saga {
  const failure = { code, message, step: 'AUTHORIZE_PAYMENT' as const };
  return saga('COMPENSATED', { steps: bookingSteps(['COMPLETED', 'FAILED'], ['COMPLETED']), failure, payment });
}

function paid(status: 'CAPTURED' | 'VOIDED'): Saga['payment'] {
  return { id: 'payment-1', status, method: 'CARD', providerReference: 'pi_1', amount: PRICE };
}

function waits(until: string, sequence = 1): SagaEvent {
  return { type: 'STEP_WAITING', sequence, facts: { __typename: 'WaitFacts', until } } as unknown as SagaEvent;
}

describe('what a customer is told', () => {
  test.each([
    ['before anything has run', null, false, 'No seats are held yet.', /time to pay/],
    ['while seats are looked for', saga('RUNNING'), false, 'The seats are being held.', /^$/],
    ['once they are held', held(ASKED), true, 'The seats are held.', /Pay before/],
    [
      'after a decline',
      held({ ...ASKED, lastFailure: { code: 'INSUFFICIENT_FUNDS', message: 'The card has insufficient funds.' } }),
      true,
      'The card has insufficient funds.',
      /Nothing was charged.*another card/,
    ],
    ['while the bank asks', held(AT_THE_BANK), true, 'The bank asks the card’s holder.', /Answer it/],
    [
      'while the bank asks through a library',
      held({ ...AT_THE_BANK, url: null, clientSecret: 'pi_1_secret_0' }),
      true,
      'The bank asks the card’s holder.',
      /library/,
    ],
    [
      'who may not answer',
      held({ ...AT_THE_BANK, url: null }),
      true,
      'The bank asks the card’s holder.',
      /Only the cust/,
    ],
    ['who may not pay', held(null), true, 'The seats are held.', /Only the customer/],
    [
      'what only a newer release asks for',
      held({ __typename: 'IdentityAwaited', until: UNTIL, lastFailure: null } as never),
      true,
      'The seats are held.',
      /Only the customer/,
    ],
    [
      'while a card is tried',
      saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'EXECUTING']) }),
      true,
      'The card is being tried.',
      /stay held/,
    ],
    [
      'once a card is accepted',
      saga('RUNNING', { steps: bookingSteps(['COMPLETED', 'COMPLETED', 'EXECUTING']) }),
      true,
      'The card is accepted.',
      /being confirmed/,
    ],
    [
      'once it is booked',
      saga('COMPLETED', { booking: { reference: 'NBG489' } as never, payment: paid('CAPTURED') }),
      true,
      'Booked: NBG489.',
      /^358\.00 USD charged\.$/,
    ],
    [
      'while all is undone',
      { ...ended('CANCELLED', 'Cancelled.'), status: 'COMPENSATING' as const },
      true,
      'The seats were given back.',
      /being released/,
    ],
    [
      'after the seats were given back',
      ended('CANCELLED', 'The saga was cancelled.'),
      true,
      'The seats were given back.',
      /free again\. Nothing charged\.$/,
    ],
    [
      'after the time',
      ended('HOLD_EXPIRED', 'The seats were held for too long.', paid('VOIDED')),
      true,
      'The time is up: the hold lapsed.',
      /free again\. 358\.00 USD given up, nothing charged\.$/,
    ],
    [
      'after a refusal for good',
      ended('CARD_NOT_CONFIRMED', 'The card’s holder did not confirm.'),
      true,
      'The card’s holder did not confirm.',
      /free again/,
    ],
    ['where it is stuck', saga('STUCK', { steps: bookingSteps(['COMPLETED', 'STUCK']) }), true, /keeps failing/, /^$/],
  ] as const)('%s', (_, shown, waited, title, text) => {
    const told = toldOf(shown, waited);
    expect(told.title).toMatch(title);
    expect(told.text).toMatch(text);
  });
});

describe('when the wait ends', () => {
  const events = [waits('2026-11-23T08:43:00Z', 3), waits('2026-11-23T08:44:00Z', 6)];

  test.each(['WAITING', 'RUNNING'] as SagaStatus[])('is said by the newest wait, %s', (status) => {
    expect(waitEndsAt(saga(status), events)).toBe('2026-11-23T08:44:00Z');
  });

  test.each(['COMPENSATING', 'COMPENSATED', 'COMPLETED'] as SagaStatus[])('matters no more, %s', (status) => {
    expect(waitEndsAt(saga(status), events)).toBeNull();
  });

  test('is not known before the first wait', () => {
    expect(waitEndsAt(saga('RUNNING'), [])).toBeNull();
    expect(waitEndsAt(null, [])).toBeNull();
  });
});

test('a saga has waited while it waits, and afterwards by its events', () => {
  expect(hasWaited(saga('WAITING'), [])).toBe(true);
  expect(hasWaited(saga('COMPLETED'), [waits(UNTIL)])).toBe(true);
  expect(hasWaited(saga('COMPLETED'), [])).toBe(false);
});

test('a waiting saga has a badge of its own', () => {
  expect(badgeOf(saga('WAITING', { steps: [step(0, 'PROCESS_PAYMENT', 'WAITING')] }))).toEqual({
    state: 'held',
    word: 'Waiting',
  });
});
