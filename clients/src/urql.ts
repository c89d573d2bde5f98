/** What both urql clients do alike, whichever way their subscriptions go. */

// #region operations
import type { Client } from '@urql/core';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, Sagas, type Booked, type Saga } from './operations.js';
import { nodes } from './pages.js';

/** The payload: the saga, or what the customer can mend. Sending the same input again gives the same saga. */
export async function book(client: Client, input: BookFlightInput): Promise<Booked> {
  const { data, error } = await client.mutation(BookFlight, { input });
  if (!data?.bookFlight) throw error;
  return data.bookFlight;
}

/** All sagas, newest first, read in pages. */
export function sagas(client: Client, first: number): AsyncGenerator<Saga> {
  return nodes(async (after) => {
    const { data, error } = await client.query(Sagas, { first, after });
    if (!data) throw error;
    return data.sagas;
  });
}
// #endregion
