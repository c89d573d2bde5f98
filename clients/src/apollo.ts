/** The functions that both Apollo clients share, over WebSocket and multipart. */

// #region operations
import type { ApolloClient } from '@apollo/client';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, SagaEvents, Sagas, type Booked, type Saga, type SagaEvent } from './operations.js';

/** Returns the payload: the saga, or errors that the customer can fix. The same input again returns the same saga. */
export async function book(client: ApolloClient, input: BookFlightInput): Promise<Booked> {
  return (await send(client, BookFlight, { input })).bookFlight!; // null only if there are GraphQL errors
}

/** Delivers every event of a saga above `after` once; settles when the saga ends. */
export function follow(
  client: ApolloClient,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
  after = 0,
): Promise<void> {
  return subscribe(client, SagaEvents, { correlationId, after }, ({ sagaEvents }) => onEvent(sagaEvents));
}

/** Sends a mutation. */
export async function send<Data, Variables extends Record<string, unknown>>(
  client: ApolloClient,
  mutation: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, error } = await client.mutate<Data>({ mutation, variables });
  if (error || !data) throw error;
  return data;
}

/** Delivers every result of a subscription; settles when it is over. */
export function subscribe<Data, Variables extends Record<string, unknown>>(
  client: ApolloClient,
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  onData: (data: Data) => void,
): Promise<void> {
  return client.subscribe<Data>({ query, variables }).forEach(({ data, error }) => {
    if (error) throw error;
    if (data) onData(data);
  });
}

/** Returns all sagas, newest first, read in pages. The cache joins the pages, so a list on the screen grows. */
export async function sagas(client: ApolloClient, first: number): Promise<readonly Saga[]> {
  const list = client.watchQuery({ query: Sagas, variables: { first } });
  let page = (await list.refetch()).data?.sagas;
  while (page?.pageInfo.hasNextPage) {
    page = (await list.fetchMore({ variables: { after: page.pageInfo.endCursor } })).data?.sagas;
  }
  return client.readQuery({ query: Sagas, variables: { first } })?.sagas.edges.map(({ node }) => node) ?? [];
}
// #endregion

// #region checkout
import { shopOf, type Shop } from './checkout.js';

export function shop(client: ApolloClient): Shop {
  return shopOf({
    send: (document, variables) => send(client, document, variables),
    subscribe: (document, variables, onData) => subscribe(client, document, variables, onData),
  });
}
// #endregion
