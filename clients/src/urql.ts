/** The functions that both urql clients share, over WebSocket and Server-Sent Events. */

// #region operations
import type { Client } from '@urql/core';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, Sagas, type Booked, type Saga } from './operations.js';
import { nodes } from './pages.js';

/** Returns the payload: the saga, or errors that the customer can fix. The same input again returns the same saga. */
export async function book(client: Client, input: BookFlightInput): Promise<Booked> {
  return (await send(client, BookFlight, { input })).bookFlight!; // null only if there are GraphQL errors
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

/** Yields all sagas, newest first, read in pages. */
export function sagas(client: Client, first: number): AsyncGenerator<Saga> {
  return nodes(async (after) => {
    const { data, error } = await client.query(Sagas, { first, after });
    if (!data) throw error;
    return data.sagas;
  });
}
// #endregion
