/**
 * A frontend's day: search, hold, lose the network, come back, pay, cancel. Each library spends it in its own file:
 * `node build/day-LIBRARY.js URL TOKEN`. Prints one line of JSON for each act; a failure exits with 1.
 */

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { WebSocket } from 'ws';
import type { Headers } from '@seatsaga/follow';
import type { BookFlightInput, FlightFilter } from './generated/graphql.js';
import { screenOf, type Library, type Screen, type Shop } from './checkout.js';
import { secondsUntil } from './clock.js';
import { CancelBooking, SearchFlights } from './day-operations.js';
import { advice } from './errors.js';
import { openNetwork } from './network.js';
import type { Booked } from './operations.js';
import { ask, bearer, journey, server, someFlight } from './server.js';

globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket; // Node has its own from 22 on

export interface Customer {
  /** The IDs of the flights found. */
  search(filter: FlightFilter): Promise<readonly string[]>;
  /** Books, and returns the payload unchanged. */
  book(input: BookFlightInput): Promise<Payload>;
  /** Delivers every event, also if the connection is lost in between; settles when the saga ends. */
  follow(correlationId: string, onEvent: (event: Event) => void): Promise<void>;
  shop: Shop;
  /** Returns the correlation ID of the cancellation. */
  cancel(reference: string): Promise<string>;
  /** Reads all sagas in pages of `first`. */
  sagas(first: number): Iterable<Saga> | AsyncIterable<Saga> | Promise<Iterable<Saga>>;
  close?(): void;
}

/** Relay allows for a type that it does not know yet. */
export interface Payload {
  readonly saga?: { readonly correlationId: string } | null | undefined;
  readonly errors: ReadonlyArray<{ readonly __typename: string }>;
}

interface Saga {
  readonly correlationId: string;
}

interface Event {
  readonly sequence: number;
  readonly type: string;
}

const CLOCK_AHEAD_MILLISECONDS = 3_600_000;

/** The acts of a library that sends typed documents; `read` sends queries, where `send` does not. */
export function byDocuments(send: Library['send'], read = send): Pick<Customer, 'search' | 'cancel'> {
  return {
    search: async (filter) => (await read(SearchFlights, { filter })).flights!.edges.map(({ node }) => node.id),
    cancel: async (reference) => {
      const { cancelBooking } = await send(CancelBooking, { input: { reference } });
      assert.deepEqual(cancelBooking!.errors, []);
      return cancelBooking!.saga!.correlationId;
    },
  };
}

/** Spends the day of one library, which reaches the server at `url`, its sockets at `socketUrl`. */
export async function spend(connect: (url: string, socketUrl: string, bearer: Headers) => Customer): Promise<void> {
  const now = Date.now;
  Date.now = () => now() + CLOCK_AHEAD_MILLISECONDS; // this device's clock is wrong
  const network = await openNetwork(server);
  const customer = connect(`${network.url}/graphql`, `${network.url.replace('http', 'ws')}/graphql`, bearer);
  try {
    const flight = await searches(customer);
    const correlationId = await holds(customer, flight);
    const [events, screens] = await Promise.all([follows(customer, correlationId), pays(customer, correlationId, network.cut)]);
    tell('follow', { events });
    tell('pay', { screens });
    const cancelled = await cancels(customer, (screens.at(-1) as { reference: string }).reference);
    await readsEveryPage(customer, [cancelled, correlationId]);
    await isToldWhatToMend(customer, flight);
  } finally {
    customer.close?.();
    network.close();
  }
}

function tell(act: string, facts: object): void {
  console.log(JSON.stringify({ act, ...facts }));
}

async function searches(customer: Customer): Promise<string> {
  const late = await someFlight();
  const { flight } = await ask<{ flight: { origin: { code: string }; destination: { code: string } } }>(
    'query ($id: ID!) { flight: node(id: $id) { ... on Flight { origin { code } destination { code } } } }',
    { id: late },
  );
  const found = await customer.search({ origin: flight.origin.code, destination: flight.destination.code });
  assert.ok(found.length > 0);
  const nowhere = await customer.search({ origin: flight.origin.code, destination: flight.origin.code });
  assert.deepEqual(nowhere, []);
  tell('search', { found: found.length });
  return late;
}

/** Holds a seat; the request is sent twice. */
async function holds(customer: Customer, flightId: string): Promise<string> {
  const input = { ...journey(flightId, 'Dorothy'), payLater: true };
  for (const _ of ['once', 'again']) {
    const { saga, errors } = await customer.book(input);
    assert.deepEqual(errors, []);
    assert.equal(saga?.correlationId, input.correlationId);
  }
  tell('hold', { correlationId: input.correlationId });
  return input.correlationId;
}

/** Returns how many events came: each once, in order. */
async function follows(customer: Customer, correlationId: string): Promise<number> {
  const events: Event[] = [];
  await customer.follow(correlationId, (event) => events.push(event));
  assert.deepEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1));
  assert.equal(events.at(-1)?.type, 'SAGA_COMPLETED');
  return events.length;
}

/**
 * Pays: the first card is declined, the second one asks its holder, who approves. The network is lost before the
 * answer.
 */
async function pays({ shop }: Customer, correlationId: string, cut: () => number): Promise<Screen[]> {
  const cards = ['pm_card_chargeDeclined', 'pm_card_threeDSecure2Required'];
  const shown: Screen[] = [];
  const act = async (screen: Screen): Promise<void> => {
    if (screen.show === 'card') {
      assert.ok(secondsUntil(screen.until) > 600 && secondsUntil(screen.until) < 900, String(secondsUntil(screen.until)));
      assert.deepEqual(await shop.pay(correlationId, cards.shift()!), []);
    }
    if (screen.show === 'bank') {
      assert.ok(cut() > 0);
      const body = new URLSearchParams({ answer: 'approve' });
      assert.equal((await fetch(`${server}${screen.url}`, { method: 'POST', body })).status, 200);
      await shop.confirm(correlationId); // refused if the server has looked already
    }
  };
  const acts: Promise<void>[] = [];
  await shop.watch(correlationId, (saga) => {
    const screen = screenOf(saga);
    if (screen.show === 'progress' || isDeepStrictEqual(screen, shown.at(-1))) return; // a new connection repeats it
    shown.push(screen);
    acts.push(act(screen));
  });
  await Promise.all(acts);
  assert.deepEqual(shown.map(({ show }) => show), ['card', 'card', 'bank', 'booked']);
  assert.equal((shown[1] as { declined?: string }).declined, 'The card was declined.');
  assert.match((shown[3] as { reference: string }).reference, /^[A-Z0-9]{6}$/);
  return shown;
}

async function cancels(customer: Customer, reference: string): Promise<string> {
  const correlationId = await customer.cancel(reference);
  const events = await follows(customer, correlationId);
  tell('cancel', { reference, events });
  return correlationId;
}

async function readsEveryPage(customer: Customer, expected: readonly string[]): Promise<void> {
  const found = [];
  for await (const saga of await customer.sagas(1)) found.push(saga.correlationId);
  assert.deepEqual(found, expected);
  tell('read', { sagas: found.length });
}

async function isToldWhatToMend(customer: Customer, flightId: string): Promise<void> {
  const nowhere = await customer.book(journey('RmxpZ2h0OjA', 'Ada'));
  assert.equal(nowhere.saga ?? null, null);
  assert.deepEqual(nowhere.errors.map(({ __typename }) => __typename), ['FlightNotFoundError']);
  const dearer = await customer.book({
    ...journey(flightId, 'Ada'),
    expectedTotal: { amount: '1.00', currency: 'USD' },
  });
  const advised = [...nowhere.errors, ...dearer.errors].map((error) => advice(error as Booked['errors'][number]));
  assert.equal(advised[0], 'Choose another flight.');
  assert.match(advised[1] ?? '', /^It costs \d+\.\d\d USD now\./);
  tell('mend', { advised });
}
