import WebSocket from 'ws';

// #region socket
import { createClient, type Client } from 'graphql-ws';
import { backoff, resuming } from './resuming.js';

/** One socket for all subscriptions of a page: opened by the first, closed after the last. */
export function openSocket(socketUrl: string, bearer: () => Promise<Record<string, string>>): Client {
  const client = createClient({
    url: socketUrl,
    webSocketImpl: WebSocket, // from 'ws'; browsers, and Node from 22 on, have their own: leave it out
    connectionParams: bearer, // asked for at each connect: a socket closed as its token ran out opens with a new one
    keepAlive: 10_000,
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: () => true, // also while the server restarts
  });
  return resuming(client);
}
// #endregion
