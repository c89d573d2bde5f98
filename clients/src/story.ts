/**
 * The story that every client must pass: what it does and the expected result. Each client's file implements it. The
 * story runs against the server at SEATSAGA_URL with the bearer token SEATSAGA_TOKEN; a failure exits with 1.
 */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { BookFlightInput } from './generated/graphql.js';
import { screenOf, type Screen, type Shop } from './checkout.js';
import { secondsUntil } from './clock.js';
import { advice } from './errors.js';
import { openNetwork } from './network.js';
import type { Booked } from './operations.js';

export interface Teller {
  /** Books, and returns the payload unchanged. */
  book(input: BookFlightInput): Promise<Payload>;
  /** Delivers every event, also if the connection is lost in between; settles when the saga ends. */
  follow(correlationId: string, onEvent: (event: Event) => void): Promise<void>;
  /** Reads all sagas in pages of `first`. */
  sagas(first: number): Iterable<Saga> | AsyncIterable<Saga> | Promise<Iterable<Saga>>;
  shop?: Shop;
  close?(): void;
}

export interface Payload {
  readonly saga?: { readonly correlationId: string } | null | undefined;
  /** Relay allows for a type that it does not know yet. */
  readonly errors: ReadonlyArray<{ readonly __typename: string }>;
}

export interface Saga {
  readonly correlationId: string;
}

export interface Event {
  readonly sequence: number;
  readonly type: string;
}

export const server = process.env['SEATSAGA_URL'] ?? 'http://127.0.0.1:8000';

const CUT_AFTER_EVENTS = 3;
const CLOCK_AHEAD_MILLISECONDS = 3_600_000;

/** Called for each request and each connection_init; empty if the server requires no token. */
export type Bearer = () => Promise<Record<string, string>>;

/** Runs the story of one client, which reaches the server at `url`, its sockets at `socketUrl`. */
export async function tell(connect: (url: string, socketUrl: string, bearer: Bearer) => Teller): Promise<void> {
  const network = await openNetwork(server);
  const teller = connect(`${network.url}/graphql`, `${network.url.replace('http', 'ws')}/graphql`, bearer);
  try {
    const flight = await someFlight();
    const quick = await booksOnce(teller, flight);
    const slow = await followsThroughALostConnection(teller, flight, network.cut);
    await readsEveryPage(teller, [slow, ...quick]);
    if (teller.shop) await holdsAndPays(teller, teller.shop, flight, network.cut);
    await isToldWhatToMend(teller, flight);
  } finally {
    teller.close?.();
    network.close();
  }
}

/** Books two sagas, and sends the second request twice. Newest first. */
async function booksOnce(teller: Teller, flightId: string): Promise<string[]> {
  const ids = [];
  for (const givenName of ['Ada', 'Grace']) {
    const input = journey(flightId, givenName);
    const { saga, errors } = await teller.book(input);
    assert.deepEqual(errors, []);
    assert.equal(saga?.correlationId, input.correlationId);
    assert.equal((await teller.book(input)).saga?.correlationId, input.correlationId);
    ids.unshift(input.correlationId);
  }
  console.log(`booked ${ids.length} journeys, each asked for twice`);
  return ids;
}

async function followsThroughALostConnection(teller: Teller, flightId: string, cut: () => number): Promise<string> {
  const input = { ...journey(flightId, 'Katherine'), simulate: { delayMs: 400 } };
  assert.deepEqual((await teller.book(input)).errors, []);
  const events: Event[] = [];
  let connections = 0;
  await teller.follow(input.correlationId, (event) => {
    events.push(event);
    if (events.length === CUT_AFTER_EVENTS) connections = cut();
  });
  const told = events.map(({ sequence, type }) => `${sequence} ${type}`).join('\n  ');
  console.log(`followed, ${connections} connections cut after ${CUT_AFTER_EVENTS} events:\n  ${told}`);
  assert.ok(connections > 0);
  assert.deepEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1));
  assert.equal(events.at(-1)?.type, 'SAGA_COMPLETED');
  return input.correlationId;
}

async function readsEveryPage(teller: Teller, expected: readonly string[]): Promise<void> {
  const found = [];
  for await (const saga of await teller.sagas(2)) found.push(saga.correlationId);
  assert.deepEqual(found, expected);
  console.log(`read ${expected.length} sagas in pages of 2`);
}

/**
 * Holds a seat and pays: the first card is declined, the second one asks its holder, who approves. The connection is
 * lost before the answer, and the clock of this device is wrong.
 */
async function holdsAndPays(teller: Teller, shop: Shop, flightId: string, cut: () => number): Promise<void> {
  const now = Date.now;
  Date.now = () => now() + CLOCK_AHEAD_MILLISECONDS;
  const input = { ...journey(flightId, 'Dorothy'), payLater: true };
  assert.deepEqual((await teller.book(input)).errors, []);
  const cards = ['pm_card_chargeDeclined', 'pm_card_threeDSecure2Required'];
  const shown: Screen[] = [];

  const act = async (screen: Screen): Promise<void> => {
    if (screen.show === 'card') {
      assert.ok(secondsUntil(screen.until) > 600 && secondsUntil(screen.until) < 900, String(secondsUntil(screen.until)));
      assert.deepEqual(await shop.pay(input.correlationId, cards.shift()!), []);
    }
    if (screen.show === 'bank') {
      assert.ok(cut() > 0);
      const body = new URLSearchParams({ answer: 'approve' });
      assert.equal((await fetch(`${server}${screen.url}`, { method: 'POST', body })).status, 200);
      await shop.confirm(input.correlationId); // refused if the server has looked already
    }
  };
  const acts: Promise<void>[] = [];
  await shop.watch(input.correlationId, (saga) => {
    const screen = screenOf(saga);
    if (screen.show === 'progress' || isDeepStrictEqual(screen, shown.at(-1))) return; // a new connection repeats it
    shown.push(screen);
    acts.push(act(screen));
  });
  await Promise.all(acts);
  Date.now = now;
  console.log('checkout:', ...shown.map((screen) => `\n  ${JSON.stringify(screen)}`));
  assert.deepEqual(shown.map(({ show }) => show), ['card', 'card', 'bank', 'booked']);
  assert.equal((shown[1] as { declined?: string }).declined, 'The card was declined.');
  assert.match((shown[3] as { reference: string }).reference, /^[A-Z0-9]{6}$/);
}

async function isToldWhatToMend(teller: Teller, flightId: string): Promise<void> {
  const nowhere = await teller.book(journey('RmxpZ2h0OjA', 'Ada'));
  assert.equal(nowhere.saga ?? null, null);
  assert.deepEqual(nowhere.errors.map(({ __typename }) => __typename), ['FlightNotFoundError']);
  const dearer = await teller.book({
    ...journey(flightId, 'Ada'),
    expectedTotal: { amount: '1.00', currency: 'USD' },
  });
  const advised = [...nowhere.errors, ...dearer.errors].map((error) => advice(error as Booked['errors'][number]));
  console.log(`told: ${advised.join(' ')}`);
  assert.equal(advised[0], 'Choose another flight.');
  assert.match(advised[1] ?? '', /^It costs \d+\.\d\d USD now\./);
}

export function journey(flightId: string, givenName: string): BookFlightInput & { correlationId: string } {
  return {
    correlationId: randomUUID(),
    segments: [{ flightId }],
    passengers: [{ givenName, familyName: 'Lovelace' }],
  };
}

/** A flight of the timetable that departs late, not while the story runs. */
export async function someFlight(): Promise<string> {
  const { flights } = await ask<{ flights: { edges: { node: { id: string } }[] } }>(
    '{ flights(first: 100) { edges { node { id } } } }',
  );
  const flight = flights.edges.at(-1);
  assert.ok(flight, 'there are no flights');
  return flight.node.id;
}

/** Returns the data of a query or a mutation that the story itself sends. */
export async function ask<Data>(query: string, variables = {}): Promise<Data> {
  const answer = await fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(await bearer()) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await answer.json()) as { data: Data; errors?: unknown };
  assert.equal(errors, undefined);
  return data;
}

export async function bearer(): Promise<Record<string, string>> {
  const token = process.env['SEATSAGA_TOKEN'];
  return token ? { authorization: `Bearer ${token}` } : {};
}
