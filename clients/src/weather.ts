/**
 * All families follow one saga at a time, and each saga meets one event: the server stops, the token expires, the
 * network is lost, and so on.
 *
 * A saga waits for its payment until the event has met every family, and is paid while the families are still away. A
 * family passes if it got every event once, in order, up to the terminal one, and was lost before. Prints one line of
 * JSON for each cell, {event, family, trouble}; `trouble` is null if it passed.
 *
 * SEATSAGA_CONTROL is the control of tests/clients/weather.py, SEATSAGA_SUBJECT the customer.
 */

import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { print } from 'graphql';
import type { Settings, Status } from '@seatsaga/follow';
import { PayForHold } from './checkout.js';
import { extensionsOf, patiently } from './errors.js';
import { FAMILIES, type Follow } from './families.js';
import { BookFlight } from './operations.js';
import { journey } from './server.js';

const CONTROL = process.env['SEATSAGA_CONTROL']!;
const SUBJECT = process.env['SEATSAGA_SUBJECT']!;
const FLIGHT = process.env['SEATSAGA_FLIGHT']!;
/** Through the relay, as the families go. */
const URL = `${process.env['SEATSAGA_URL']}/graphql`;
/** Past the relay. */
const SERVER = `${process.env['SEATSAGA_SERVER']}/graphql`;
const SETTLED_MS_MAX = 40_000;

const tokens = { lasting: await weather<string>('token', { subject: SUBJECT }), now: '' };
tokens.now = tokens.lasting;

/** One family, as it follows one saga. */
class Follower {
  readonly sequences: number[] = [];
  readonly statuses: Status[] = [];
  readonly follow: Follow;
  last = '';
  error: unknown;
  isOver = false;

  constructor(
    readonly name: string,
    settings: Settings,
  ) {
    const bearer = async (): Promise<Record<string, string>> => ({ authorization: `Bearer ${tokens.now}` });
    const onStatus = (status: Status): void => void this.statuses.push(status);
    this.follow = FAMILIES[name]!(URL, URL.replace('http', 'ws'), bearer, { ...settings, onStatus });
  }

  start(correlationId: string, after = 0): void {
    const take = ({ sequence, type }: { sequence: number; type: string }): void => {
      this.sequences.push(sequence);
      this.last = type;
    };
    void this.follow(correlationId, take, after)
      .catch((error: unknown) => (this.error = error))
      .finally(() => (this.isOver = true));
  }

  get lost(): Status[] {
    return this.statuses.filter(({ state }) => state === 'lost');
  }
}

interface Event {
  readonly settings?: Settings;
  /** What happens while the saga waits; returns when no more will. */
  strike?(followers: readonly Follower[], pay: () => Promise<void>): Promise<void>;
  /** What must have happened to each family; it was lost, where nothing is said. */
  proof?(follower: Follower): void;
}

const lost = (followers: readonly Follower[], times: number): Promise<void> =>
  until(() => followers.every((follower) => follower.lost.length >= times || follower.isOver));
const met = (code: string) => (follower: Follower): void =>
  assert.ok(follower.lost.some(({ error }) => error?.code === code), `never met ${code}`);

/** In this order: the server of the first one has small buffers, and the second one ends it. */
const EVENTS: Record<string, Event> = {
  'slow reader': { strike: async () => {}, proof: met('SLOW_CONSUMER') },
  'planned stop': {
    strike: async (followers) => {
      await weather('stop_server');
      await lost(followers, 1);
      await weather('start_server');
    },
  },
  kill: {
    strike: async (followers) => {
      await weather('kill_server');
      await lost(followers, 1);
      await weather('start_server');
    },
  },
  'expired token': {
    strike: async (followers) => {
      tokens.now = tokens.lasting;
      await lost(followers, 1);
    },
  },
  "proxy's 502": {
    strike: async (followers) => {
      await weather('answer', { status: 502 });
      await lost(followers, 2);
      await weather('flow');
    },
  },
  'busy server': {
    strike: async (followers) => {
      await weather('answer', { status: 503, retry_after: 1 });
      await lost(followers, 2);
      await weather('busy');
      await weather('flow');
      const before = new Map(followers.map((follower) => [follower, follower.lost.length]));
      await until(() => followers.every((follower) => follower.lost.length > before.get(follower)! || follower.isOver));
      await weather('quiet');
    },
  },
  'network cut': {
    strike: async (followers) => {
      await weather('cut');
      await lost(followers, 1);
    },
  },
  sleep: {
    settings: { silenceMs: 1_000 },
    strike: async (followers, pay) => {
      await weather('hang', { new: true });
      await pay();
      await lost(followers, 2);
      await weather('flow');
    },
  },
};

for (const [event, { settings = {}, strike, proof }] of Object.entries(EVENTS)) {
  const followers = Object.keys(FAMILIES).map((name) => new Follower(name, settings));
  const correlationId = await hold();
  if (event === 'expired token') tokens.now = await weather('token', { subject: SUBJECT, seconds: 2 });
  let isPaid = false;
  const pay = async (): Promise<void> => {
    const input = { correlationId, payment: { token: 'pm_card_visa' } };
    if (!isPaid) await patiently(() => ask(print(PayForHold), { input })); // the places are free in a moment
    isPaid = true;
  };
  for (const follower of followers) follower.start(correlationId);
  await until(() => followers.every(({ sequences, isOver }) => sequences.length > 2 || isOver));
  await strike?.(followers, pay);
  for (const follower of followers) if (follower.isOver) follower.error ??= 'over before its saga';
  await pay();
  await until(() => followers.every(({ isOver }) => isOver), false);
  const { saga } = await ask<{ saga: { sequence: number } }>(
    'query ($id: UUID!) { saga(correlationId: $id) { sequence } }',
    { id: correlationId },
  );
  const all = Array.from({ length: saga.sequence }, (_, index) => index + 1);
  for (const follower of followers) {
    tell(event, follower, () => {
      if (follower.error) throw follower.error;
      assert.deepEqual(follower.sequences, all);
      assert.equal(follower.last, 'SAGA_COMPLETED');
      (proof ?? (() => assert.ok(follower.lost.length > 0, 'was never lost')))(follower);
    });
  }
  if (event === 'network cut') await readsAPastThatIsGone(correlationId, saga.sequence);
}
process.exit(0);

/** The cursor of another saga; then a history of which only the last event is left. */
async function readsAPastThatIsGone(correlationId: string, newest: number): Promise<void> {
  const all = async (after: number, settings: Settings = {}): Promise<Follower[]> => {
    const followers = Object.keys(FAMILIES).map((name) => new Follower(name, settings));
    for (const follower of followers) follower.start(correlationId, after);
    await until(() => followers.every(({ isOver }) => isOver), false);
    return followers;
  };
  for (const follower of await all(newest + 1)) {
    tell('CURSOR_AHEAD', follower, () => assert.equal(extensionsOf(follower.error).code, 'CURSOR_AHEAD'));
  }
  await weather('prune', { correlation_id: correlationId });
  const skipping = await all(0, { pruned: 'skip' });
  for (const [index, follower] of (await all(0)).entries()) {
    tell('HISTORY_PRUNED', follower, () => {
      assert.equal(extensionsOf(follower.error).code, 'HISTORY_PRUNED');
      assert.deepEqual(skipping[index]?.sequences, [newest]);
    });
  }
}

function tell(event: string, follower: Follower, check: () => void): void {
  let trouble: string | null = null;
  try {
    check();
  } catch (error) {
    const met = follower.statuses.map(({ state, after, error }) => `${state} at ${after} ${error?.code ?? ''}`);
    trouble = `${error instanceof Error ? error.message : JSON.stringify(error)}\n${met.join('\n')}`;
  }
  console.log(JSON.stringify({ event, family: follower.name, trouble }));
}

/** Books, to be paid later. */
async function hold(): Promise<string> {
  const input = { ...journey(FLIGHT, 'Ada'), payLater: true };
  await ask(print(BookFlight), { input });
  return input.correlationId;
}

async function ask<Data>(query: string, variables: object): Promise<Data> {
  const answer = await fetch(SERVER, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokens.lasting}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await answer.json()) as { data: Data; errors?: unknown };
  if (errors) throw errors;
  return data;
}

async function weather<Value>(command: string, given: object = {}): Promise<Value> {
  const answer = await fetch(`${CONTROL}/${command}`, { method: 'POST', body: JSON.stringify(given) });
  const { value, error } = (await answer.json()) as { value: Value; error?: string };
  assert.equal(error, undefined);
  return value;
}

async function until(isSo: () => boolean, mustBe = true): Promise<void> {
  const deadline = Date.now() + SETTLED_MS_MAX;
  while (!isSo()) {
    if (Date.now() > deadline) return assert.ok(!mustBe, 'it takes too long');
    await setTimeout(5);
  }
}
