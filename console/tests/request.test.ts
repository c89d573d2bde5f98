import { expect, test, vi } from 'vitest';
import type { SagaDefinition } from '../src/api/definitions.graphql';
import { CARD_DEFAULT } from '../src/views/test/cards';
import { NO_FAULTS } from '../src/views/test/definition';
import { requestOf } from '../src/views/test/request';
import type { Setup } from '../src/views/test/setup';

// The module opens the page's socket as soon as it is loaded, and there is no page.
vi.mock('../src/api/socket', () => ({}));

const DEFINITION: SagaDefinition = { name: 'BOOK_AND_EARN', version: 1, isCurrent: true, steps: [], scenarios: [] };
const SETUP: Setup = {
  trip: 'ONE_WAY',
  from: null,
  to: null,
  on: null,
  back: null,
  flight: null,
  flightBack: null,
  cabin: 'ECONOMY',
  people: ['Maya Lindqvist'],
  pays: 'earn',
  member: '',
  points: 0,
  when: 'now',
  card: CARD_DEFAULT,
  faults: NO_FAULTS,
  delayMs: 0,
};

test('the card that the form shows is named, also the first: only the sandbox knows one that is not', () => {
  expect(requestOf(SETUP, [], DEFINITION).payment).toEqual({ token: 'pm_card_visa' });
});

test('seats that are held are not paid with the request', () => {
  expect(requestOf({ ...SETUP, when: 'later' }, [], DEFINITION).payment).toBeNull();
});
