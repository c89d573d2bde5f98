import { describe, expect, test } from 'vitest';
import type { SagaEvent } from '../src/api/saga.graphql';
import { fileOf, readFile } from '../src/saga/file';
import { sagaAfter } from '../src/saga/replay';
import { bookingSteps, saga } from './sagas';

const AT = new Date('2026-11-30T03:00:00Z');
const ID = '0198c0de-0000-7000-8000-000000000001';
const UNDONE = saga('COMPENSATED', {
  steps: bookingSteps(['COMPLETED', 'FAILED'], ['COMPLETED']),
  failure: { code: 'PAYMENT_DECLINED', message: 'No.', step: 'AUTHORIZE_PAYMENT' },
});
const EVENTS: SagaEvent[] = (
  [
    ['SAGA_STARTED', null, null],
    ['STEP_STARTED', 'RESERVE_SEAT', null],
    ['STEP_COMPLETED', 'RESERVE_SEAT', null],
    ['STEP_STARTED', 'AUTHORIZE_PAYMENT', null],
    ['STEP_FAILED', 'AUTHORIZE_PAYMENT', null],
    ['COMPENSATION_STARTED', 'RESERVE_SEAT', 'CANCEL_SEAT'],
    ['COMPENSATION_COMPLETED', 'RESERVE_SEAT', 'CANCEL_SEAT'],
    ['SAGA_COMPENSATED', null, null],
  ] as const
).map(([type, step, compensation], index) => ({
  id: `event-${index}`,
  correlationId: ID,
  sequence: index + 1,
  type,
  step,
  compensation,
  attempt: 1,
  message: '',
  at: AT.toISOString(),
  failure: null,
  actor: null,
  facts: null,
}));

describe('readFile', () => {
  test('what was saved is read again', () => {
    const { file, why } = readFile(fileOf(UNDONE, EVENTS, AT));
    expect(why).toBeUndefined();
    expect(file?.saga.steps).toEqual(UNDONE.steps);
    expect(file?.events).toEqual(EVENTS);
  });

  test('what confirms a card is not saved', () => {
    const awaiting = { __typename: 'CardConfirmationAwaited', until: AT.toISOString(), lastFailure: null };
    const secret = { ...awaiting, clientSecret: 'seti_secret', url: 'https://bank.example/secret' };
    expect(fileOf(saga('WAITING', { awaiting: secret as never }), [], AT)).not.toContain('secret"');
  });

  const hostile: readonly (readonly [string, (file: Record<string, unknown>) => unknown, RegExp])[] = [
    ['a list', () => [], /something else/],
    ['another version', (file) => ({ ...file, version: 2 }), /version 2/],
    ['no saga', (file) => ({ ...file, saga: null }), /file\.saga is missing/],
    ['an address for an ID', (file) => ({ ...file, saga: { ...UNDONE, correlationId: '//evil.example' } }), /UUID/],
    [
      'an object for a text',
      (file) => ({ ...file, events: [{ ...EVENTS[0], message: { $$typeof: 1 } }] }),
      /not a text/,
    ],
    ['no instant', (file) => ({ ...file, saga: { ...UNDONE, startedAt: 'yesterday' } }), /not an instant/],
    ['too many steps', (file) => ({ ...file, saga: { ...UNDONE, steps: Array(101).fill(UNDONE.steps[0]) } }), /100/],
  ];
  test.each(hostile)('%s is refused in words', (_, spoil, said) => {
    const text = JSON.stringify(spoil(JSON.parse(fileOf(UNDONE, EVENTS, AT))));
    expect(readFile(text).why).toMatch(said);
  });

  test('what the format does not name is not taken over', () => {
    const text = fileOf({ ...UNDONE, __proto__: { evil: true }, extra: '<img>' } as never, EVENTS, AT);
    expect(JSON.stringify(readFile(text).file)).not.toContain('<img>');
  });
});

describe('sagaAfter', () => {
  test('each event is one step of the way', () => {
    const ways = EVENTS.map((_, index) => {
      const then = sagaAfter(UNDONE, EVENTS, index + 1);
      return [then.status, then.steps[0]?.status, then.steps[1]?.status, then.steps[0]?.undo?.status ?? null];
    });
    expect(ways).toEqual([
      ['PENDING', 'PENDING', 'PENDING', null],
      ['RUNNING', 'EXECUTING', 'PENDING', null],
      ['RUNNING', 'COMPLETED', 'PENDING', null],
      ['RUNNING', 'COMPLETED', 'EXECUTING', null],
      ['COMPENSATING', 'COMPLETED', 'FAILED', 'PENDING'],
      ['COMPENSATING', 'COMPLETED', 'FAILED', 'EXECUTING'],
      ['COMPENSATING', 'COMPLETED', 'FAILED', 'COMPLETED'],
      ['COMPENSATED', 'COMPLETED', 'FAILED', 'COMPLETED'],
    ]);
  });
});
