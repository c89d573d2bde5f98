/** urql, with subscriptions over a WebSocket or Server-Sent Events. */

// #region client
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from '@urql/core'; // with React: from 'urql'
import { type Headers, resume, type Settings, type Source, sse } from '@seatsaga/follow';
import { socket } from '@seatsaga/follow/ws';
import { fetch } from './clock.js';

export function overWebSocket(url: string, socketUrl: string, bearer: Headers, settings: Settings = {}): Client {
  return connect(url, bearer, socket({ url: socketUrl, headers: bearer, ...settings }));
}

export function overServerSentEvents(url: string, bearer: Headers, settings: Settings = {}): Client {
  return connect(url, bearer, resume(sse({ url, headers: bearer, ...settings }), settings));
}

function connect(url: string, bearer: Headers, events: Source): Client {
  return new Client({
    url,
    fetch: async (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...(await bearer()) } }),
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: events.subscribe(request, sink) }),
        }),
      }),
    ],
  });
}
// #endregion

// #region operations
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, type Booked, type Saga, SagaEvents, type SagaEvent, Sagas } from './operations.js';
import { nodes } from './pages.js';

/** Returns the payload: the saga, or errors that the customer can fix. The same input again returns the same saga. */
export async function book(client: Client, input: BookFlightInput): Promise<Booked> {
  return (await send(client, BookFlight, { input })).bookFlight!; // null only if there are GraphQL errors
}

/** Delivers every event of a saga above `after` once; settles when the saga ends. */
export function follow(
  client: Client,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
  after = 0,
): Promise<void> {
  return subscribe(client, SagaEvents, { correlationId, after }, ({ sagaEvents }) => onEvent(sagaEvents));
}

/** Sends a mutation. */
export async function send<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, error } = await client.mutation(document, variables);
  if (error || !data) throw error;
  return data;
}

/** Delivers every result of a subscription; settles when it is over. */
export function subscribe<Data, Variables extends Record<string, unknown>>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  onData: (data: Data) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.subscription(document, variables).subscribe(({ data, error, hasNext }) => {
      if (error) reject(error);
      else if (!hasNext) resolve(); // repeats the last result
      else if (data) onData(data);
    });
  });
}

/** Yields all sagas, newest first, read in pages. */
export function sagas(client: Client, first: number): AsyncGenerator<Saga> {
  return nodes(async (after) => {
    const { data, error } = await client.query(Sagas, { first, after });
    if (!data) throw error;
    return data.sagas;
  });
}
// #endregion

import { shopOf, type Shop } from './checkout.js';

export function shop(client: Client): Shop {
  return shopOf({
    send: (document, variables) => send(client, document, variables),
    subscribe: (document, variables, onData) => subscribe(client, document, variables, onData),
  });
}
