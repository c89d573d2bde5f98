/** A server whose database is unavailable tells a client when to retry; the client books when the database is back. */

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

// The caller of this program locks the database, and unlocks it after both requests were refused.
const flight = await someFlight();
await Promise.all(
  Object.entries(ways).map(async ([name, book]) => {
    const input = journey(flight, 'Ada');
    await assert.rejects(book(input), (error) => extensionsOf(error).code === 'UNAVAILABLE');
    console.log(`${name} was sent away`);
    const { saga } = await patiently(() => book(input));
    assert.equal(saga?.correlationId, input.correlationId);
    console.log(`${name} came back in time`);
  }),
);
