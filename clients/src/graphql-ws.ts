import { BookFlight, Sagas } from './operations.js';
import { nodes } from './pages.js';
import { openSocket } from './socket.js';
import { tell } from './story.js';

// #region client
import { print } from 'graphql';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { Client } from 'graphql-ws';
import { SagaEvents, type SagaEvent } from './operations.js';

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(client: Client, correlationId: string, onEvent: (event: SagaEvent) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscribe<{ sagaEvents: SagaEvent }>(
      { query: print(SagaEvents), variables: { correlationId, after: 0 } },
      {
        next: ({ data, errors }) => (data ? onEvent(data.sagaEvents) : reject(errors)),
        error: reject,
        complete: resolve,
      },
    );
  });
}

/** Sends a query or a mutation over the socket. */
export function ask<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return new Promise((resolve, reject) => {
    client.subscribe<Data>(
      { query: print(document), variables },
      { next: ({ data, errors }) => (data && !errors ? resolve(data) : reject(errors)), error: reject, complete: () => {} },
    );
  });
}
// #endregion

await tell((_, socketUrl, bearer) => {
  const client = openSocket(socketUrl, bearer);
  return {
    book: async (input) => (await ask(client, BookFlight, { input })).bookFlight!, // null only if there are errors
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => nodes(async (after) => (await ask(client, Sagas, { first, after })).sagas),
    close: () => client.dispose(),
  };
});
