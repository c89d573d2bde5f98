import type { Client } from '@urql/core';
import { expect, test, vi } from 'vitest';
import type { SagaDefinition, SagaScenario } from '../src/api/definitions.graphql';
import type { Saga } from '../src/api/saga.graphql';
import { customerOf, differencesOf, expectedOf, type Scenario, scenariosOf } from '../src/views/test/scenarios';

// The module opens the page's socket as soon as it is loaded, and there is no page.
vi.mock('../src/api/socket', () => ({}));

const SUCCESS: SagaScenario = {
  name: 'success',
  payLater: false,
  cards: [],
  holderApproves: null,
  failAt: null,
  status: 'COMPLETED',
  failedStep: null,
  failureCode: null,
  completed: ['RESERVE_SEAT'],
  compensated: [],
  reservations: 'CONFIRMED',
  payment: 'CAPTURED',
  isBooked: true,
  redeemsPoints: true,
  awardsMiles: false,
};
const FAILURE: SagaScenario = {
  ...SUCCESS,
  name: 'RESERVE_SEAT fails',
  failAt: 'RESERVE_SEAT',
  status: 'COMPENSATED',
  failedStep: 'RESERVE_SEAT',
  failureCode: 'SIMULATED',
  completed: [],
  reservations: null,
  payment: null,
  isBooked: false,
  redeemsPoints: false,
};

function definition(changes: Partial<SagaDefinition>): SagaDefinition {
  return { name: 'BOOK_AND_REDEEM', version: 1, isCurrent: true, steps: [], scenarios: [], ...changes };
}

test('the scenarios are those of every saga that new bookings start with', () => {
  const scenarios = scenariosOf([
    definition({ isCurrent: false, scenarios: [SUCCESS] }),
    definition({ version: 2, scenarios: [SUCCESS, FAILURE] }),
    definition({ name: 'CANCEL_BOOKING' }),
  ]);
  expect(scenarios.map(({ definition: { version }, outcome }) => [version, outcome.failAt])).toEqual([
    [2, null],
    [2, 'RESERVE_SEAT'],
  ]);
  expect(scenarios.every(({ redeems }) => redeems)).toBe(true);
});

test('what is expected is what the server says', () => {
  const scenario: Scenario = { definition: definition({}), redeems: true, outcome: FAILURE };
  expect(expectedOf(scenario)).toMatchObject({ status: 'COMPENSATED', reservations: [], pointsChanged: 0 });
  expect(expectedOf({ ...scenario, outcome: SUCCESS })).toMatchObject({
    reservations: ['CONFIRMED'],
    booking: true,
    pointsChanged: -1_000,
  });
});

test('what differs is named with both values', () => {
  const expected = expectedOf({ definition: definition({}), redeems: true, outcome: SUCCESS });
  expect(differencesOf(expected, expected)).toEqual([]);
  expect(differencesOf(expected, { ...expected, payment: null })).toEqual(['payment: expected "CAPTURED", seen null']);
});

test('each wait for a card is answered once, with the next card', () => {
  const named: unknown[] = [];
  const client = {
    mutation: (_document: unknown, { input }: { input: { payment: { token: string } } }) => {
      named.push(input.payment.token);
      return { toPromise: async () => ({ data: { payForHold: { errors: [] } } }) };
    },
  } as unknown as Client;
  const outcome = { ...SUCCESS, payLater: true, cards: ['declined', 'works'] };
  const customer = customerOf({ definition: definition({}), redeems: true, outcome }, client);
  const awaiting = { __typename: 'PaymentAwaited' };
  for (const [sequence, asked] of [
    [4, awaiting],
    [4, awaiting],
    [5, null],
    [7, awaiting],
    [9, awaiting],
  ] as const) {
    customer.see({ sequence, awaiting: asked, correlationId: 'one' } as unknown as Saga);
  }
  expect(named).toEqual(['declined', 'works']);
});
