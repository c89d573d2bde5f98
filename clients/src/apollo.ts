/** The functions that both Apollo clients share, over WebSocket and multipart. */

// #region operations
import type { ApolloClient } from '@apollo/client';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, SagaEvents, Sagas, type Booked, type Saga, type SagaEvent } from './operations.js';

/** Returns the payload: the saga, or errors that the customer can fix. The same input again returns the same saga. */
export async function book(client: ApolloClient, input: BookFlightInput): Promise<Booked> {
  const { data, error } = await client.mutate({ mutation: BookFlight, variables: { input } });
  if (!data?.bookFlight) throw error;
  return data.bookFlight;
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(
  client: ApolloClient,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
): Promise<void> {
  const results = client.subscribe({ query: SagaEvents, variables: { correlationId, after: 0 } });
  return results.forEach(({ data, error }) => {
    if (error) throw error;
    if (data) onEvent(data.sagaEvents);
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
