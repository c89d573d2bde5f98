import { backoffMs, resume } from '@seatsaga/follow';
import { stringifyDocument, type TypedDocumentNode } from '@urql/core';
import { type Client, createClient } from 'graphql-ws';
import { socketUrl } from '../base-path';
import { behindMs, cameInMeanwhile, connection } from './connection';
import { createStore } from './store';
import { bearer, token } from './token';

const PING_MS = 5_000;
/** What is answered later than this is not live. */
const LATE_MS = 2_000;
const FORBIDDEN = 4403;
const RETRY_MS_MAX = 8_000;

/** What a subscription came to: an error that ends it. */
export interface SubscriptionError {
  readonly code: string;
  readonly message: string;
}

export interface Sink<Data> {
  next(data: Data): void;
  /** Ended by the server: no more follows. */
  complete?(): void;
  error(error: SubscriptionError): void;
}

let tryNow: () => void = () => {};
let client = open();

/** Rises whenever the socket is a new one with another token: who subscribed does so again. */
export const socketNumber = createStore(0);

token.subscribe(() => {
  // It may be connecting in vain, and says so.
  Promise.resolve(client.dispose()).catch(() => {});
  connection.set({ status: 'connecting' });
  client = open();
  socketNumber.set(socketNumber.get() + 1);
});

/**
 * Subscribe on the page's one socket; each event of a saga comes once, whatever happens to the socket in between.
 *
 * Returns how to end it.
 */
export function subscribe<Data, Variables extends object>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  sink: Sink<Data>,
): () => void {
  return client.subscribe<Data>(
    { query: stringifyDocument(document), variables: variables as Record<string, unknown> },
    {
      next: ({ data, errors }) => {
        if (data) sink.next(data);
        else if (errors?.[0]) sink.error(errorOf(errors));
      },
      error: (cause) => sink.error(errorOf(cause)),
      complete: () => sink.complete?.(),
    },
  );
}

/** Try to connect now, if it is being waited for. */
export function retryNow(): void {
  tryNow();
}

/** One socket for the whole page, kept open while the page is: so that it can say whether it is connected. */
function open(): Client {
  let late: ReturnType<typeof setTimeout> | undefined;
  let silent: ReturnType<typeof setTimeout> | undefined;
  /** When the ping was sent that has no answer yet. */
  let pingedAt: number | null = null;
  const settle = (): void => {
    pingedAt = null;
    clearTimeout(late);
    clearTimeout(silent);
  };
  const tellLate = (): void => {
    if (pingedAt === null) return;
    behindMs.set(Date.now() - pingedAt);
    late = setTimeout(tellLate, 1_000);
  };
  const expectMore = (): void => {
    clearTimeout(silent);
    silent = setTimeout(() => opened.terminate(), PING_MS);
  };
  const opened = createClient({
    url: socketUrl(),
    connectionParams: bearer,
    lazy: false,
    keepAlive: PING_MS,
    retryAttempts: Infinity,
    retryWait: wait,
    shouldRetry: (cause) => closeCode(cause) !== FORBIDDEN,
    onNonLazyError: () => {},
    on: {
      connected: () => {
        if (own !== client) return;
        const before = connection.get();
        const lostAt = before.status === 'lost' ? before.lostAt : null;
        connection.set({ status: 'live', lostAt, resumedAt: lostAt === null ? null : Date.now() });
      },
      closed: (event) => {
        settle();
        behindMs.set(null);
        if (own !== client) return;
        if (closeCode(event) === FORBIDDEN) connection.set({ status: 'refused', reason: reasonOf(event) });
        else lose();
      },
      // What waits on a slow line delays the answer to a ping as much as the data. A network may also fall silent: a
      // socket on which nothing arrives is lost.
      ping: (received) => {
        if (received) return;
        pingedAt = Date.now();
        late = setTimeout(tellLate, LATE_MS);
        expectMore();
      },
      message: () => {
        if (pingedAt !== null) expectMore();
      },
      pong: (received) => {
        if (!received || pingedAt === null) return;
        const took = Date.now() - pingedAt;
        settle();
        behindMs.set(took > LATE_MS ? took : null);
      },
    },
  });
  const own = resume(opened);
  return own;
}

function lose(): void {
  if (connection.get().status === 'lost') return;
  cameInMeanwhile.set(0);
  connection.set({ status: 'lost', lostAt: Date.now(), retryAt: null });
}

/** Waits before the next attempt to connect; cut short by `retryNow` and by a network that comes back. */
async function wait(retries: number): Promise<void> {
  // A socket that could not be opened is heard of here before it closes.
  lose();
  const milliseconds = Math.min(backoffMs(retries), RETRY_MS_MAX);
  setRetryAt(Date.now() + milliseconds);
  await new Promise<void>((resolve) => {
    tryNow = resolve;
    setTimeout(resolve, milliseconds);
    addEventListener('online', () => resolve(), { once: true });
  });
  setRetryAt(null);
}

function setRetryAt(retryAt: number | null): void {
  const now = connection.get();
  if (now.status === 'lost') connection.set({ ...now, retryAt });
}

function closeCode(cause: unknown): number | null {
  return typeof cause === 'object' && cause !== null && 'code' in cause ? Number(cause.code) : null;
}

function reasonOf(event: unknown): string {
  const reason = typeof event === 'object' && event !== null && 'reason' in event ? String(event.reason) : '';
  return reason.replace(/^Forbidden: /, '');
}

function errorOf(cause: unknown): SubscriptionError {
  if (Array.isArray(cause)) {
    const first = cause[0] as { message: string; extensions?: { code?: string } };
    return { code: first.extensions?.code ?? 'INTERNAL', message: first.message };
  }
  if (closeCode(cause) === FORBIDDEN) return { code: 'FORBIDDEN', message: reasonOf(cause) };
  return { code: 'DISCONNECTED', message: 'The connection ended.' };
}
