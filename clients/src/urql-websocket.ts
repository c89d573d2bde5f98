import { tell } from './story.js';
import { book, sagas } from './urql.js';

// #region client
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from '@urql/core'; // with React: from 'urql'
import { openSocket } from './socket.js';
import { SagaEvents, type SagaEvent } from './operations.js';

export function connect(url: string, socketUrl: string, bearer: () => Promise<Record<string, string>>): Client {
  const socket = openSocket(socketUrl, bearer);
  return new Client({
    url,
    fetch: async (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...(await bearer()) } }),
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(client: Client, correlationId: string, onEvent: (event: SagaEvent) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscription(SagaEvents, { correlationId, after: 0 }).subscribe(({ data, error, hasNext }) => {
      if (error) reject(error);
      else if (!hasNext) resolve();
      else if (data) onEvent(data.sagaEvents);
    });
  });
}
// #endregion

await tell((url, socketUrl, bearer) => {
  const client = connect(url, socketUrl, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
  };
});
