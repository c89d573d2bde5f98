/**
 * Four events that end a socket, besides a reset: the token expires, the network goes silent, the server stops, the
 * session ends.
 *
 * The first token is SEATSAGA_EXPIRING_TOKEN, the later ones are SEATSAGA_TOKEN.
 */

import assert from 'node:assert/strict';
import { print } from 'graphql';
import type { Client } from 'graphql-ws';
import { openNetwork } from './network.js';
import { BookFlight, SagaEvents, type SagaEvent } from './operations.js';
import { openSocket } from './socket.js';
import { ask, bearer, journey, server, someFlight } from './story.js';

const socketUrl = server.replace('http', 'ws') + '/graphql';

await aTokenRunsOut();
await theNetworkFallsSilent();
await theServerGoesAway();
await theSessionIsOver();

async function aTokenRunsOut(): Promise<void> {
  const expiring = [process.env['SEATSAGA_EXPIRING_TOKEN']];
  const client = openSocket(socketUrl, async () => {
    const token = expiring.pop();
    return token ? { authorization: `Bearer ${token}` } : bearer();
  });
  assert.equal(await goesOn(client, () => {}), 4403);
}

async function theNetworkFallsSilent(): Promise<void> {
  const network = await openNetwork(server);
  const client = openSocket(network.url.replace('http', 'ws') + '/graphql', bearer, 200);
  assert.equal(await goesOn(client, network.freeze), 4499);
  network.close();
}

async function theServerGoesAway(): Promise<void> {
  const network = await openNetwork(server);
  const client = openSocket(network.url.replace('http', 'ws') + '/graphql', bearer);
  let attempts = 0;
  const refused = new Promise<void>((told) => client.on('closed', () => ++attempts === 2 && told()));
  const comesBack = refused.then(() => openNetwork(server, Number(new URL(network.url).port)));
  assert.equal(await goesOn(client, network.close, comesBack), 1006);
  (await comesBack).close();
}

async function theSessionIsOver(): Promise<void> {
  const over = new Error('The session is over.');
  const client = openSocket(socketUrl, async () => {
    throw over;
  });
  await assert.rejects(follow(client, 'f0cacc1a-0000-4000-8000-000000000000', []), over);
}

/** Returns the close code of the client's socket after `lose`. Its subscription delivers the complete saga. */
async function goesOn(client: Client, lose: () => void, comesBack?: Promise<unknown>): Promise<number> {
  const connected = new Promise((told) => client.on('connected', told));
  const closed = new Promise<number>((told) => client.on('closed', (event) => told((event as CloseEvent).code)));
  const input = journey(await someFlight(), 'Ada');
  const sequences: number[] = [];
  const over = follow(client, input.correlationId, sequences);
  await connected;
  lose();
  const code = await closed;
  await comesBack;
  await ask(print(BookFlight), { input });
  await over;
  await client.dispose();
  console.log(`closed with ${code}, and followed ${sequences.length} events on another socket`);
  assert.deepEqual(sequences, sequences.map((_, index) => index + 1));
  assert.ok(sequences.length > 0);
  return code;
}

/** Records the sequence of every event; settles when the saga ends. */
function follow(client: Client, correlationId: string, sequences: number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscribe<{ sagaEvents: SagaEvent }>(
      { query: print(SagaEvents), variables: { correlationId, after: 0 } },
      {
        next: ({ data, errors }) => (data ? sequences.push(data.sagaEvents.sequence) : reject(errors)),
        error: reject,
        complete: resolve,
      },
    );
  });
}
