import assert from 'node:assert/strict';
import { fetchQuery, graphql } from 'relay-runtime';
import type { dayRelayCancelMutation } from './__generated__/dayRelayCancelMutation.graphql.js';
import type { dayRelaySearchQuery } from './__generated__/dayRelaySearchQuery.graphql.js';
import { spend } from './day.js';
import { book, connect, follow, reload, sagas, send, shop } from './relay.js';

const SEARCH = graphql`
  query dayRelaySearchQuery($filter: FlightFilter!) {
    flights(filter: $filter, first: 20) {
      edges {
        node {
          id
        }
      }
    }
  }
`;
const CANCEL = graphql`
  mutation dayRelayCancelMutation($input: CancelBookingInput!) {
    cancelBooking(input: $input) {
      saga {
        correlationId
      }
      errors {
        __typename
      }
    }
  }
`;

await spend((url, socketUrl, bearer) => {
  const { environment, close } = connect(url, socketUrl, bearer);
  return {
    search: async (filter) => {
      const answer = await fetchQuery<dayRelaySearchQuery>(environment, SEARCH, { filter }).toPromise();
      return answer!.flights!.edges.map(({ node }) => node.id);
    },
    book: (input) => book(environment, input),
    follow: (correlationId, onEvent) => follow(environment, correlationId, onEvent),
    shop: shop(environment),
    cancel: async (reference) => {
      const { cancelBooking } = await send<dayRelayCancelMutation>(environment, CANCEL, { input: { reference } });
      assert.deepEqual(cancelBooking!.errors, []);
      return cancelBooking!.saga!.correlationId;
    },
    sagas: async (first) => {
      const found = await sagas(environment, first);
      for (const { id } of found) assert.equal((await reload(environment, id)).status, 'COMPLETED');
      return found;
    },
    close,
  };
});
