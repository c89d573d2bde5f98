/** A server with room for one saga tells other clients when to retry, in the terms of each library. */

import { ApolloClient, HttpLink, InMemoryCache } from '@apollo/client';
import { Client, fetchExchange } from '@urql/core';
import assert from 'node:assert/strict';
import { book as bookByApollo } from './apollo.js';
import { extensionsOf, patiently } from './errors.js';
import type { BookFlightInput } from './generated/graphql.js';
import type { Booked } from './operations.js';
import { bearer, journey, server, someFlight } from './server.js';
import { book as bookByUrql } from './urql.js';

const url = `${server}/graphql`;
const headers = await bearer();
const apollo = new ApolloClient({ link: new HttpLink({ uri: url, headers }), cache: new InMemoryCache() });
const urql = new Client({ url, exchanges: [fetchExchange], fetchOptions: { headers } });
const ways: Record<string, (input: BookFlightInput) => Promise<Booked>> = {
  apollo: (input) => bookByApollo(apollo, input),
  urql: (input) => bookByUrql(urql, input),
};

const flight = await someFlight();
const slow = (): BookFlightInput => ({ ...journey(flight, 'Ada'), simulate: { delayMs: 200 } });
assert.deepEqual((await bookByApollo(apollo, slow())).errors, []);
for (const [name, book] of Object.entries(ways)) {
  const input = slow();
  await assert.rejects(book(input), (error) => extensionsOf(error).code === 'LIMIT_EXCEEDED');
  const { saga } = await patiently(() => book(input));
  assert.equal(saga?.correlationId, input.correlationId);
  console.log(`${name} was sent away, and came back in time`);
}
