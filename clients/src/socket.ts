import WebSocket from 'ws';

// #region socket
import { createClient, type Client } from 'graphql-ws';
import { backoff, resuming } from './resuming.js';

/** One socket for all subscriptions of a page: opened by the first, closed after the last, and opened again if lost. */
export function openSocket(
  socketUrl: string,
  bearer: () => Promise<Record<string, string>>,
  keepAliveMilliseconds = 10_000,
): Client {
  let unanswered: ReturnType<typeof setTimeout>;
  const client = createClient({
    url: socketUrl,
    webSocketImpl: WebSocket, // from 'ws'; browsers, and Node from 22 on, have their own: leave it out
    connectionParams: bearer, // asked for at each connect: a socket closed as its token ran out opens with a new one
    keepAlive: keepAliveMilliseconds,
    on: {
      // A network may also fall silent: a socket on which a ping is not answered is lost.
      ping: (received) => {
        if (!received) unanswered = setTimeout(() => client.terminate(), keepAliveMilliseconds / 2);
      },
      pong: () => clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: (cause) => !(cause instanceof Error) || 'code' in cause, // what bearer throws ends the attempts
  });
  return resuming(client);
}
// #endregion
