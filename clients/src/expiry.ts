/**
 * A token that runs out while a socket is open: the server closes it with 4403, the client asks for a token again, and
 * its subscription goes on. The first token is SEATSAGA_EXPIRING_TOKEN, the next is SEATSAGA_TOKEN.
 */

import assert from 'node:assert/strict';
import { print } from 'graphql';
import { BookFlight, SagaEvents, type SagaEvent } from './operations.js';
import { openSocket } from './socket.js';
import { ask, bearer, journey, server, someFlight } from './story.js';

const expiring = [process.env['SEATSAGA_EXPIRING_TOKEN']];
const client = openSocket(`${server.replace('http', 'ws')}/graphql`, async () => {
  const token = expiring.pop();
  return token ? { authorization: `Bearer ${token}` } : bearer();
});
const closed = new Promise<number>((told) => client.on('closed', (event) => told((event as CloseEvent).code)));

const input = journey(await someFlight(), 'Ada');
const events: number[] = [];
const over = new Promise<void>((resolve, reject) => {
  client.subscribe<{ sagaEvents: SagaEvent }>(
    { query: print(SagaEvents), variables: { correlationId: input.correlationId, after: 0 } },
    {
      next: ({ data, errors }) => (data ? events.push(data.sagaEvents.sequence) : reject(errors)),
      error: reject,
      complete: resolve,
    },
  );
});
assert.equal(await closed, 4403);
await ask(print(BookFlight), { input });
await over;
console.log(`closed as the token ran out, then followed ${events.length} events with a new one`);
assert.deepEqual(events, events.map((_, index) => index + 1));
assert.ok(events.length > 0);
await client.dispose();
