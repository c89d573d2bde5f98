import WebSocket from 'ws';

// #region socket
import { createClient, type Client } from 'graphql-ws';
import { backoff, resuming } from './resuming.js';

/** One socket for all subscriptions of a page. The first opens it, the last closes it; a lost socket reopens. */
export function openSocket(
  socketUrl: string,
  bearer: () => Promise<Record<string, string>>,
  keepAliveMilliseconds = 10_000,
): Client {
  let unanswered: ReturnType<typeof setTimeout>;
  const client = createClient({
    url: socketUrl,
    webSocketImpl: WebSocket, // from 'ws'; omit it in browsers and from Node 22 on
    connectionParams: bearer, // called at each connect, so that a socket with an expired token reopens with a new one
    keepAlive: keepAliveMilliseconds,
    on: {
      // A network may go silent. A socket that does not answer a ping is lost.
      ping: (received) => {
        if (!received) unanswered = setTimeout(() => client.terminate(), keepAliveMilliseconds / 2);
      },
      pong: () => clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: (cause) => !(cause instanceof Error) || 'code' in cause, // an Error from bearer ends the attempts
  });
  return resuming(client);
}
// #endregion
