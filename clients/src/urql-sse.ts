import { shopOf } from './checkout.js';
import { tell } from './story.js';
import { book, sagas, send } from './urql.js';

// #region client
import { cacheExchange, Client, fetchExchange } from '@urql/core'; // with React: from 'urql'
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { fetch } from './clock.js';
import { SagaEvents, type SagaEvent } from './operations.js';
import { backoff } from './resuming.js';

export function connect(url: string, bearer: () => Promise<Record<string, string>>): Client {
  return new Client({
    url,
    fetch: async (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...(await bearer()) } }),
    fetchSubscriptions: true, // over Server-Sent Events; needs no socket and no other library
    exchanges: [cacheExchange, fetchExchange],
  });
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(client: Client, correlationId: string, onEvent: (event: SagaEvent) => void): Promise<void> {
  let after = 0;
  return subscribe(client, SagaEvents, () => ({ correlationId, after }), ({ sagaEvents }) => {
    after = sagaEvents.sequence;
    onEvent(sagaEvents);
  });
}

/** Delivers every result of a subscription; settles when the server ends it. `variables`: asked at each connect. */
export async function subscribe<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: () => Variables,
  onData: (data: Data) => void,
): Promise<void> {
  const untilLost = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      client.subscription(document, variables()).subscribe(({ data, error, hasNext }) => {
        if (error?.networkError) return resolve(true);
        if (error) return reject(error);
        if (!hasNext) return resolve(false); // repeats the last result
        if (data) onData(data);
      });
    });
  // urql does not reconnect by itself.
  for (let lost = 0; await untilLost(); lost++) await backoff(lost);
}
// #endregion

await tell((url, _, bearer) => {
  const client = connect(url, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
    shop: shopOf({
      send: (document, variables) => send(client, document, variables),
      subscribe: (document, variables, onData) => subscribe(client, document, () => variables, onData),
    }),
  };
});
