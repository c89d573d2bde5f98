import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as untilTurn, setTimeout as pause } from 'node:timers/promises';
import { type Request, resume, type Result, type Sink, type Status } from '../src/index.js';
import { event, failed, heard, QUERY, Scripted, type Ending } from './scripted.js';

const backoffMs = (): number => 0;
const FOLLOWED: Request = { query: QUERY, variables: { correlationId: 'any', after: 0 } };
const UNHEARD: Sink = { next() {}, error: assert.fail, complete() {} };

/** The ways in which an attempt ends early, as each library tells them. */
const PASSING: Record<string, Ending> = {
  'a stream that ends as if it were finished': { complete: true },
  'a lost connection (fetch)': { error: new TypeError('fetch failed') },
  'a lost connection (graphql-sse)': { error: Object.assign(new Error('NetworkError'), { response: undefined }) },
  'a lost connection (ws)': { error: { type: 'error', message: 'ECONNREFUSED' } },
  'an abnormal close': { error: { code: 1006, reason: '' } },
  'a stopping server (socket)': { error: { code: 1012, reason: 'Service Restart' } },
  'a server without room (socket)': { error: { code: 1013, reason: 'Try again later' } },
  'a socket given up': { error: { code: 4499, reason: 'Terminated' } },
  'an expired token (socket)': { error: { code: 4403, reason: 'Forbidden' } },
  'an expired token (HTTP)': { error: { response: { status: 401 } } },
  'an expired token (error)': { error: [failed('UNAUTHENTICATED').errors![0]] },
  "a proxy's 502": { error: { response: { status: 502 } } },
  "a proxy's 503 (Apollo)": { error: Object.assign(new Error(), { statusCode: 503 }) },
  'a 429': { error: { response: { status: 429 } } },
  'a page that is no stream': { error: Object.assign(new Error('Unexpected token <'), { response: { status: 200 } }) },
  "an issuer of tokens that fails": { error: new Error('The issuer answered 500.') },
  SERVER_STOPPING: { result: failed('SERVER_STOPPING', { resumeAfter: 2 }) },
  SLOW_CONSUMER: { result: failed('SLOW_CONSUMER', { resumeAfter: 2 }) },
  UNAVAILABLE: { error: failed('UNAVAILABLE').errors },
  INTERNAL: { error: failed('INTERNAL').errors },
  'a limit for a while': { error: failed('LIMIT_EXCEEDED', { retryAfterSeconds: 0.001 }).errors },
  'a hidden reason (Apollo, multipart)': { result: {} },
};

for (const [name, ends] of Object.entries(PASSING)) {
  test(`${name} is followed by another attempt, after the last event`, async () => {
    const source = new Scripted([
      { sends: [1, 2], ends },
      { sends: [2, 3, 4, 5], ends: 'silence' },
    ]);
    const { sequences, isComplete, errors } = await heard(resume(source, { backoffMs }));
    assert.deepEqual([sequences, isComplete, errors], [[1, 2, 3, 4, 5], true, undefined]);
    assert.deepEqual(source.cursors, [0, 2]);
    await pause(1);
    assert.equal(source.stopped, 2);
  });
}

/** The ends that no other attempt can mend. */
const FINAL: Record<string, Ending> = {
  NOT_FOUND: { error: failed('NOT_FOUND').errors },
  FORBIDDEN: { result: failed('FORBIDDEN') },
  CURSOR_AHEAD: { result: failed('CURSOR_AHEAD', { newest: 1 }) },
  HISTORY_PRUNED: { result: failed('HISTORY_PRUNED', { oldest: 4 }) },
  BAD_USER_INPUT: { result: failed('BAD_USER_INPUT') },
  'a document that is too large': { result: failed('LIMIT_EXCEEDED', { limit: 10 }) },
  'a 400': { error: { response: { status: 400 } } },
  'a 404 (Apollo)': { error: Object.assign(new Error(), { statusCode: 404 }) },
  'a client that breaks the protocol': { error: { code: 4400, reason: 'Invalid message' } },
  'a frame that is too large': { error: { code: 1009, reason: '' } },
};

for (const [name, ends] of Object.entries(FINAL)) {
  test(`${name} ends the subscription as the library tells it`, async () => {
    const statuses: Status[] = [];
    const source = new Scripted([{ sends: [1], ends }]);
    const { sequences, error, errors } = await heard(resume(source, { onStatus: (status) => statuses.push(status) }));
    assert.deepEqual(sequences, [1]);
    assert.deepEqual(errors ?? error, (ends as any).result?.errors ?? (ends as any).error);
    assert.deepEqual(statuses.map(({ state, after }) => [state, after]), [['live', 1], ['over', 1]]);
    assert.equal(source.cursors.length, 1);
  });
}

test('a token that is refused twice in a row ends the subscription; one that is refused later is renewed', async () => {
  const ends: Ending = { error: { code: 4403, reason: 'Forbidden: the token is wrong' } };
  const source = new Scripted([{ sends: [1], ends }, { sends: [2], ends }, { sends: [3], ends }, { sends: [], ends }]);
  const { sequences, error } = await heard(resume(source, { backoffMs }));
  assert.deepEqual(sequences, [1, 2, 3]);
  assert.deepEqual(error, { code: 4403, reason: 'Forbidden: the token is wrong' });
});

test('a pruned history is skipped if that is asked for', async () => {
  const source = new Scripted([
    { sends: [], ends: { result: failed('HISTORY_PRUNED', { oldest: 4 }) } },
    { sends: [4, 5], ends: 'silence' },
  ]);
  const { sequences, isComplete } = await heard(resume(source, { pruned: 'skip' }));
  assert.deepEqual([sequences, isComplete, source.cursors], [[4, 5], true, [0, 3]]);
});

test('a client that is resumed twice tells each loss once, to both settings', async () => {
  const losses: unknown[] = [];
  const source = new Scripted([{ sends: [1], ends: { complete: true } }, { sends: [2, 3, 4, 5], ends: 'silence' }]);
  const onStatus = ({ state }: Status): void => void losses.push(state);
  await heard(resume(resume(source, { backoffMs }), { onStatus }));
  assert.deepEqual(losses, ['live', 'lost', 'live', 'over']);
});

test('a cursor that was at the terminal event from the beginning is at the end', async () => {
  const source = new Scripted([{ sends: [], ends: { complete: true } }]);
  assert.deepEqual((await heard(resume(source), 5)).isComplete, true);
  assert.deepEqual(source.cursors, [5]);
});

test('the wait is what the server asks for, else it grows; events make it short again', async () => {
  const lost: Ending = { error: new TypeError('fetch failed') };
  const busy: Ending = {
    error: { response: { status: 503, headers: new Headers({ 'retry-after': '0.02' }) } },
  };
  const source = new Scripted([
    { sends: [], ends: lost },
    { sends: [], ends: lost },
    { sends: [], ends: busy },
    { sends: [1, 2], ends: lost },
    { sends: [3, 4, 5], ends: 'silence' },
  ]);
  const waits: unknown[] = [];
  await heard(
    resume(source, {
      backoffMs: (retries) => retries + 1,
      onStatus: ({ state, retryMs, error }) => state === 'lost' && waits.push([retryMs, error?.code]),
    }),
  );
  assert.deepEqual(waits, [[1, 'DISCONNECTED'], [2, 'DISCONNECTED'], [20, 'DISCONNECTED'], [1, 'DISCONNECTED']]);
});

test('what comes twice is dropped, and a gap is asked for again', async () => {
  const source = new Scripted([
    { sends: [1, 1, 2, 4, 5], ends: 'silence' },
    { sends: [3, 4, 5], ends: 'silence' },
  ]);
  assert.deepEqual((await heard(resume(source, { backoffMs }))).sequences, [1, 2, 3, 4, 5]);
  assert.deepEqual(source.cursors, [0, 2]);
});

test('a list that is lost after its first result each time is tried ever later, and its token renewed once', async () => {
  const first = { data: { seatChanges: { number: '1A' } } };
  const causes = [new TypeError('fetch failed'), new TypeError('fetch failed'), { code: 4403 }, { code: 4403 }];
  const subscribe = (_: Request, sink: Sink): (() => void) => {
    queueMicrotask(() => (sink.next(first), sink.error(causes.shift())));
    return () => {};
  };
  const asked: number[] = [];
  const client = resume({ subscribe }, { backoffMs: (retries) => (asked.push(retries), 0) });
  const { error } = await heard(client, null, 'subscription { seatChanges(flightId: "x") { number } }');
  assert.deepEqual([asked, error], [[0, 1], { code: 4403 }]);
});

test('a wait until a date is by the clock of who answers', async () => {
  const headers = new Headers({ 'retry-after': 'Tue, 01 Dec 2020 10:00:01 GMT', date: 'Tue, 01 Dec 2020 10:00:00 GMT' });
  const source = new Scripted([{ sends: [], ends: { error: { response: { status: 503, headers } } } }]);
  const waits: unknown[] = [];
  const client = resume(source, { backoffMs, onStatus: ({ retryMs }) => waits.push(retryMs) });
  const stop = client.subscribe(FOLLOWED, UNHEARD);
  for (let turn = 0; turn < 3; turn++) await untilTurn();
  stop();
  assert.deepEqual(waits, [1000]);
});

test('a wait that is longer than a timer bears is no call to try at once', async () => {
  const headers = new Headers({ 'retry-after': '2592000' });
  const source = new Scripted([{ sends: [], ends: { error: { response: { status: 503, headers } } } }]);
  const client = resume(source);
  const stop = client.subscribe(FOLLOWED, UNHEARD);
  await pause(20);
  stop();
  assert.equal(source.cursors.length, 1);
});

test('a network that comes back is tried at once, but not before the server asks', async () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'addEventListener');
  const network = new EventTarget();
  globalThis.addEventListener = network.addEventListener.bind(network) as typeof addEventListener;
  globalThis.removeEventListener = network.removeEventListener.bind(network) as typeof removeEventListener;
  try {
    const busy: Ending = { error: { response: { status: 429, headers: new Headers({ 'retry-after': '0.05' }) } } };
    const source = new Scripted([
      { sends: [1], ends: { error: new TypeError('fetch failed') } },
      { sends: [2], ends: busy },
      { sends: [3, 4, 5], ends: 'silence' },
    ]);
    const startedAt = Date.now();
    const onStatus = ({ state }: Status): void => {
      if (state === 'lost') setImmediate(() => network.dispatchEvent(new Event('online')));
    };
    const waits = [1_000_000, 0];
    await heard(resume(source, { backoffMs: () => waits.shift()!, onStatus }));
    assert.ok(Date.now() - startedAt >= 49);
  } finally {
    if (before) Object.defineProperty(globalThis, 'addEventListener', before);
    else delete (globalThis as any).addEventListener;
  }
});

test('a client that reconnects by itself sends the new cursor', async () => {
  let sent: Request | undefined;
  let sink: Sink | undefined;
  const client = resume({ subscribe: (request: Request, to: Sink) => ((sent = request), (sink = to), () => {}) });
  const over = heard(client);
  sink!.next(event(1, 'SAGA_STARTED'));
  assert.equal((JSON.parse(JSON.stringify(sent)) as Request).variables?.['after'], 1);
  for (const sequence of [1, 2]) sink!.next(event(sequence, sequence === 2 ? 'SAGA_ABANDONED' : 'SAGA_STARTED'));
  assert.deepEqual((await over).sequences, [1, 2]);
});

test('the current saga is followed to its terminal status, a list until the server completes it', async () => {
  const saga = 'subscription ($correlationId: UUID!) { saga(correlationId: $correlationId) { status } }';
  const seats = 'subscription { seatChanges(flightId: "x") { number } }';
  const attempts: Record<string, ((sink: Sink) => void)[]> = {
    [saga]: [
      (sink) => (sink.next({ data: { saga: { status: 'RUNNING' } } }), sink.error(new TypeError('fetch failed'))),
      (sink) => (sink.next({ data: { saga: { status: 'RUNNING' } } }), sink.complete()),
      (sink) => (sink.next({ data: { saga: { status: 'RUNNING' } } }), sink.next({ data: { saga: { status: 'COMPENSATED' } } })),
    ],
    [seats]: [
      (sink) => (sink.next({ data: { seatChanges: [] } }), sink.next({}), sink.complete()),
      (sink) => (sink.next({ data: { seatChanges: [] } }), sink.complete()),
    ],
  };
  const client = resume(
    {
      subscribe: ({ query }: Request, sink: Sink) => {
        queueMicrotask(() => attempts[query!]!.shift()!(sink));
        return () => {};
      },
    },
    { backoffMs },
  );
  assert.equal((await heard(client, null, saga)).sequences.length, 4);
  assert.equal((await heard(client, null, seats)).sequences.length, 2);
});

test('queries and mutations pass unchanged, also those that speak of a subscription', async () => {
  const source = new Scripted([{ sends: [], ends: { complete: true } }, { sends: [], ends: { complete: true } }]);
  for (const query of ['{ saga { subscription { id } } } # subscription', 'mutation Subscription { pay }']) {
    assert.ok((await heard(resume(source), null, query)).isComplete);
  }
  assert.equal(source.cursors.length, 2);
});

test('events that cannot be resumed are refused at once', async () => {
  const source = new Scripted([]);
  await assert.rejects(heard(resume(source), null), /variable `after`/);
  const { error } = await heard(
    resume({ subscribe: (_: Request, sink: Sink) => (sink.next({ data: { sagaEvents: { type: 'X' } } }), () => {}) }),
  );
  assert.match(String(error), /Select `sequence`/);
});

test("the caller's own fault ends the subscription, and is told", async () => {
  const fault = new Error('The screen is gone.');
  const told = await new Promise((error) => {
    const next = (_: Result): void => {
      throw fault;
    };
    resume(new Scripted([{ sends: [1, 2], ends: 'silence' }])).subscribe(
      { query: 'subscription { sagaEvents }', variables: { after: 0 } },
      { next, error, complete: () => {} },
    );
  });
  assert.equal(told, fault);
});

test('who unsubscribes hears nothing more, not from a waiting attempt either', async () => {
  const source = new Scripted([{ sends: [1], ends: { error: new TypeError('fetch failed') } }]);
  let isOver = false;
  await new Promise<void>((lost) => {
    const stop = resume(source, {
      backoffMs,
      onStatus: ({ state }) => {
        if (state === 'lost') queueMicrotask(() => (stop(), lost()));
      },
    }).subscribe(
      { query: 'subscription { sagaEvents }', variables: { after: 0 } },
      { next: () => {}, error: () => (isOver = true), complete: () => (isOver = true) },
    );
  });
  await new Promise((later) => setTimeout(later, 5));
  assert.deepEqual([source.cursors.length, isOver], [1, false]);
});
