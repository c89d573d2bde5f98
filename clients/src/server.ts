/** The server under test, and what the programs that test clients ask of it themselves. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { BookFlightInput } from './generated/graphql.js';

/** Its address; the first argument of a program, where there is one. */
export const server = process.argv[2] ?? process.env['SEATSAGA_URL'] ?? 'http://127.0.0.1:8000';

export function journey(flightId: string, givenName: string): BookFlightInput & { correlationId: string } {
  return {
    correlationId: randomUUID(),
    segments: [{ flightId }],
    passengers: [{ givenName, familyName: 'Lovelace' }],
  };
}

/** A flight of the timetable that departs late, not while the program runs. */
export async function someFlight(): Promise<string> {
  const { flights } = await ask<{ flights: { edges: { node: { id: string } }[] } }>(
    '{ flights(first: 100) { edges { node { id } } } }',
  );
  const flight = flights.edges.at(-1);
  assert.ok(flight, 'there are no flights');
  return flight.node.id;
}

/** Returns the data of a query or a mutation that the program itself sends. */
export async function ask<Data>(query: string, variables = {}): Promise<Data> {
  const answer = await fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(await bearer()) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await answer.json()) as { data: Data; errors?: unknown };
  assert.equal(errors, undefined);
  return data;
}

/** Called for each request and each connection_init; empty if the server requires no token. */
export async function bearer(): Promise<Record<string, string>> {
  const token = process.argv[3] ?? process.env['SEATSAGA_TOKEN'];
  return token ? { authorization: `Bearer ${token}` } : {};
}
