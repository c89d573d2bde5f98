import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { follow } from '../src/index.js';
import { socket } from '../src/ws.js';
import { event, failed } from './scripted.js';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
after(() => server.close());

/** Sends these results and `complete` in one piece, as a server does whose saga ends at once. */
function answering(...answers: object[][]): void {
  server.on('connection', (connection, { socket: pipe }: { socket: Socket }) =>
    connection.on('message', (text) => {
      const { type, id } = JSON.parse(String(text)) as { type: string; id: string };
      const say = (message: object): void => connection.send(JSON.stringify(message));
      if (type === 'connection_init') say({ type: 'connection_ack' });
      if (type !== 'subscribe') return;
      pipe.cork();
      for (const payload of answers.shift()!) say({ type: 'next', id, payload });
      say({ type: 'complete', id });
      pipe.uncork();
    }),
  );
}

test('a socket is closed with the last subscription, also when its end comes in one piece', { timeout: 5_000 }, async () => {
  if (!server.address()) await once(server, 'listening');
  answering([event(1, 'STEP_STARTED'), failed('SLOW_CONSUMER')], [event(2, 'SAGA_COMPLETED')]);
  const closed = new Promise((resolve) => server.once('connection', (connection) => resolve(once(connection, 'close'))));
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const transport = socket({ url, webSocketImpl: WebSocket, backoffMs: () => 0 });
  const sequences: number[] = [];
  for await (const { sequence } of follow({ transport, correlationId: 'x' })) sequences.push(sequence);
  assert.deepEqual(sequences, [1, 2]);
  await closed;
  await transport.dispose();
});
