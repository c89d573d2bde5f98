import { BookFlight, Sagas } from './operations.js';
import { nodes } from './pages.js';
import { tell } from './story.js';

// #region client
import { print } from 'graphql';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { createClient, type Client } from 'graphql-sse';
import { SagaEvents, type SagaEvent } from './operations.js';
import { backoff, resuming } from './resuming.js';

export function connect(url: string, bearer: () => Promise<Record<string, string>>): Client {
  const client = createClient({
    url,
    headers: bearer, // called at each connect
    retryAttempts: Infinity,
    retry: backoff,
  });
  return resuming(client);
}

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

/** Sends a query or a mutation; the answer is a stream of one result. */
export async function ask<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  for await (const { data, errors } of client.iterate<Data>({ query: print(document), variables })) {
    if (data && !errors) return data;
    throw errors;
  }
  throw new Error('There was no answer.');
}
// #endregion

await tell((url, _, bearer) => {
  const client = connect(url, bearer);
  return {
    book: async (input) => (await ask(client, BookFlight, { input })).bookFlight!, // null only if there are errors
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => nodes(async (after) => (await ask(client, Sagas, { first, after })).sagas),
    close: () => client.dispose(),
  };
});
