import assert from 'node:assert/strict';
import { tell } from './story.js';

// #region environment
import { Environment, Network, Observable, RecordSource, Store, type GraphQLResponse } from 'relay-runtime';
import { openSocket } from './socket.js';

export function connect(
  url: string,
  socketUrl: string,
  bearer: () => Promise<Record<string, string>>,
): { environment: Environment; close: () => void } {
  const socket = openSocket(socketUrl, bearer);
  const network = Network.create(
    async ({ text }, variables) => {
      const answer = await fetch(url, {
        method: 'POST',
        headers: {
          accept: 'application/graphql-response+json',
          'content-type': 'application/json',
          ...(await bearer()),
        },
        body: JSON.stringify({ query: text, variables }),
      });
      return (await answer.json()) as GraphQLResponse;
    },
    ({ text }, variables) =>
      Observable.create((sink) => {
        const next = (result: object): void => sink.next(result as GraphQLResponse);
        return socket.subscribe({ query: text ?? '', variables }, { ...sink, next });
      }),
  );
  return {
    environment: new Environment({ network, store: new Store(new RecordSource()) }),
    close: () => void socket.dispose(),
  };
}
// #endregion

// #region operations
import {
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getFragment,
  getRequest,
  getSingularSelector,
  graphql,
  requestSubscription,
} from 'relay-runtime';
import type { relay_saga$data, relay_saga$key } from './__generated__/relay_saga.graphql.js';
import type { BookFlightInput, relayBookMutation } from './__generated__/relayBookMutation.graphql.js';
import type { relaySagaEventsSubscription } from './__generated__/relaySagaEventsSubscription.graphql.js';
import RELOAD, { type relaySagaReloadQuery } from './__generated__/relaySagaReloadQuery.graphql.js';
import type { relaySagasQuery, relaySagasQuery$data } from './__generated__/relaySagasQuery.graphql.js';

type Booked = NonNullable<relayBookMutation['response']['bookFlight']>;
type SagaEvent = relaySagaEventsSubscription['response']['sagaEvents'];
type Saga = relaySagasQuery$data['sagas']['edges'][number]['node'];

/** Returns the payload: the saga, or errors that the customer can fix. The same input again returns the same saga. */
export function book(environment: Environment, input: BookFlightInput): Promise<Booked> {
  return new Promise((resolve, reject) => {
    commitMutation<relayBookMutation>(environment, {
      mutation: graphql`
        mutation relayBookMutation($input: BookFlightInput!) {
          bookFlight(input: $input) {
            saga {
              correlationId
              ...relay_saga
            }
            errors {
              __typename
              ... on UserError {
                message
                path
              }
              ... on PriceChangedError {
                total {
                  amount
                  currency
                }
              }
            }
          }
        }
      `,
      variables: { input },
      onCompleted: ({ bookFlight }, errors) => (bookFlight ? resolve(bookFlight) : reject(errors)),
      onError: reject,
    });
  });
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(
  environment: Environment,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    requestSubscription<relaySagaEventsSubscription>(environment, {
      subscription: graphql`
        subscription relaySagaEventsSubscription($correlationId: UUID!, $after: Int!) {
          sagaEvents(correlationId: $correlationId, after: $after) {
            sequence
            type
            step
            message
            saga {
              ...relay_saga
            }
          }
        }
      `,
      variables: { correlationId, after: 0 },
      onNext: (response) => response && onEvent(response.sagaEvents),
      onError: reject,
      onCompleted: resolve,
    });
  });
}

const SAGAS = graphql`
  query relaySagasQuery($first: Int!, $after: String) {
    sagas(first: $first, after: $after) @connection(key: "relay_sagas") {
      edges {
        node {
          id
          correlationId
          ...relay_saga
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

/** Returns all sagas, newest first, read in pages. The store joins the pages, so a list on the screen grows. */
export async function sagas(environment: Environment, first: number): Promise<readonly Saga[]> {
  const list = createOperationDescriptor(getRequest(SAGAS), { first });
  environment.retain(list);
  const read = () => (environment.lookup(list.fragment).data as relaySagasQuery$data).sagas;
  let after: string | null | undefined;
  do {
    await fetchQuery<relaySagasQuery>(environment, SAGAS, { first, after }).toPromise();
    after = read().pageInfo.endCursor;
  } while (read().pageInfo.hasNextPage);
  return read().edges.map(({ node }) => node);
}

const SAGA = graphql`
  fragment relay_saga on Saga @refetchable(queryName: "relaySagaReloadQuery") {
    status
    sequence
  }
`;

/** Reads one saga again, by its node ID. */
export async function reload(environment: Environment, id: string): Promise<relay_saga$data> {
  const answer = await fetchQuery<relaySagaReloadQuery>(environment, RELOAD, { id }).toPromise();
  const selector = getSingularSelector(getFragment(SAGA), answer?.node as relay_saga$key);
  return environment.lookup(selector!).data as unknown as relay_saga$data;
}
// #endregion

await tell((url, socketUrl, bearer) => {
  const { environment, close } = connect(url, socketUrl, bearer);
  return {
    book: (input) => book(environment, input),
    follow: (correlationId, onEvent) => follow(environment, correlationId, onEvent),
    sagas: async (first) => {
      const found = await sagas(environment, first);
      for (const { id } of found) assert.equal((await reload(environment, id)).status, 'COMPLETED');
      return found;
    },
    close,
  };
});
