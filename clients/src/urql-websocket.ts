import { tell } from './story.js';
import { book, sagas, send } from './urql.js';

// #region client
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from '@urql/core'; // with React: from 'urql'
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { fetch } from './clock.js';
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
  return subscribe(client, SagaEvents, { correlationId, after: 0 }, ({ sagaEvents }) => onEvent(sagaEvents));
}

/** Delivers every result of a subscription; settles when the server ends it. */
export function subscribe<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  onData: (data: Data) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscription(document, variables).subscribe(({ data, error, hasNext }) => {
      if (error) reject(error);
      else if (!hasNext) resolve();
      else if (data) onData(data);
    });
  });
}
// #endregion

// #region checkout
import { shopOf, type Shop } from './checkout.js';

export function shop(client: Client): Shop {
  return shopOf({
    send: (document, variables) => send(client, document, variables),
    subscribe: (document, variables, onData) => subscribe(client, document, variables, onData),
  });
}
// #endregion

await tell((url, socketUrl, bearer) => {
  const client = connect(url, socketUrl, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
    shop: shop(client),
  };
});
