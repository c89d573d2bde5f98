import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { follow, FollowError, type FollowOptions, watched } from '../src/index.js';
import { event, failed } from './scripted.js';

const servers: Server[] = [];
after(() => servers.forEach((server) => (server.close(), server.closeAllConnections())));

/** A server that answers its requests one by one; the last answer stays. */
async function serving(...answers: RequestListener[]): Promise<string> {
  const server = createServer((request, response) => (answers.length > 1 ? answers.shift()! : answers[0]!)(request, response));
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
}

const frame = (sequence: number, type = 'STEP_STARTED'): string =>
  `id: ${sequence}\nevent: next\ndata: ${JSON.stringify(event(sequence, type))}\n\n`;
const LAST = `${frame(3, 'SAGA_COMPLETED')}event: complete\ndata: \n\n`;

const stream = (...chunks: string[]): RequestListener => async (_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  for (const chunk of chunks) {
    response.write(chunk);
    await new Promise((sent) => setImmediate(sent));
  }
  response.end();
};
const status = (code: number, headers = {}, body = '<html>'): RequestListener => (_, response) =>
  response.writeHead(code, headers).end(body);

async function sequences(options: FollowOptions): Promise<number[]> {
  const found = [];
  for await (const { sequence } of follow({ backoffMs: () => 0, ...options })) found.push(sequence);
  return found;
}

test('a stream is read whatever its chunks and line ends are', async () => {
  const all = `:\n\n${frame(1)}:\n\n${frame(2).replaceAll('\n', '\r\n')}${LAST}`;
  assert.deepEqual(await sequences({ url: await serving(stream(all)), correlationId: 'x' }), [1, 2, 3]);
  assert.deepEqual(await sequences({ url: await serving(stream(...all)), correlationId: 'x' }), [1, 2, 3]);
});

test('a stream without its end, a 502, a page and a 401 are no end', async () => {
  const url = await serving(
    stream(frame(1)),
    status(502),
    status(200, { 'content-type': 'text/html' }),
    status(401),
    stream(frame(1), frame(2), LAST),
  );
  const tokens = ['a', 'b', 'c', 'd', 'e'];
  const asked: string[] = [];
  const headers = async (): Promise<Record<string, string>> => ({ authorization: asked[asked.push(tokens.shift()!) - 1]! });
  assert.deepEqual(await sequences({ url, headers, correlationId: 'x' }), [1, 2, 3]);
  assert.deepEqual(asked, ['a', 'b', 'c', 'd', 'e']);
});

test('a stream that falls silent is left, before its head and within', { timeout: 5_000 }, async () => {
  const silent: RequestListener = () => {};
  const deaf: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(frame(1));
  };
  const url = await serving(silent, deaf, stream(frame(1), frame(2), LAST));
  assert.deepEqual(await sequences({ url, correlationId: 'x', silenceMs: 250 }), [1, 2, 3]);
});

test('a slow reader is not taken for a silent network', async () => {
  const answer = await watched(fetch, 250)(await serving(stream(frame(1), LAST)));
  await new Promise((later) => setTimeout(later, 300));
  assert.ok((await answer.text()).endsWith(LAST));
});

test('an answer without a body passes, and so does an abort', async () => {
  const url = await serving(status(204, {}, ''));
  assert.equal((await watched()(url)).status, 204);
  await assert.rejects(watched()(url, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('a signal that lives on keeps nothing of the answers that are over', async () => {
  const url = await serving(status(204, {}, ''), stream(LAST), stream(frame(1), LAST), (request) => request.destroy());
  const { signal } = new AbortController();
  await watched()(url, { signal });
  await (await watched()(url, { signal })).text();
  await (await watched()(url, { signal })).body!.cancel();
  await assert.rejects(watched()(url, { signal }), TypeError);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('what cannot go on throws its code, with the errors', async () => {
  const refused = status(400, { 'content-type': 'application/json' }, JSON.stringify(failed('BAD_USER_INPUT')));
  const gone = stream(`event: next\ndata: ${JSON.stringify(failed('CURSOR_AHEAD', { newest: 2 }))}\n\n`);
  for (const [answer, code] of [[refused, 'BAD_USER_INPUT'], [gone, 'CURSOR_AHEAD'], [status(404), 'REFUSED']] as const) {
    await assert.rejects(sequences({ url: await serving(answer), correlationId: 'x' }), (error: FollowError) => {
      assert.ok(error instanceof FollowError);
      assert.equal(error.code, code);
      return true;
    });
  }
});

test('a session that is over ends it: `headers` throws a FollowError; any other error is tried again', async () => {
  const url = await serving(stream(LAST));
  let asked = 0;
  const headers = (): Record<string, string> => {
    if (++asked === 1) throw new Error('The issuer answered 500.');
    throw new FollowError('UNAUTHENTICATED', 'The session is over.');
  };
  await assert.rejects(sequences({ url, headers, correlationId: 'x' }), { message: 'The session is over.' });
  assert.equal(asked, 2);
});

test('leaving the loop, or the signal, closes the connection', async () => {
  let closed = 0;
  const open: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(frame(1));
    response.on('close', () => ++closed);
  };
  const url = await serving(open);
  for await (const _ of follow({ url, correlationId: 'x' })) break;
  const stopping = new AbortController();
  for await (const _ of follow({ url, correlationId: 'x', signal: stopping.signal })) stopping.abort();
  for await (const _ of follow({ url, correlationId: 'x', signal: stopping.signal })) assert.fail();
  while (closed < 2) await new Promise((later) => setTimeout(later, 2));
});
