/** Relay, with subscriptions over a WebSocket. */

// #region environment
import { Environment, Network, Observable, RecordSource, Store, type GraphQLResponse } from 'relay-runtime';
import type { Headers, Settings } from '@seatsaga/follow';
import { socket } from '@seatsaga/follow/ws';
import { fetch } from './clock.js';

export function connect(
  url: string,
  socketUrl: string,
  bearer: Headers,
  settings: Settings = {},
): { environment: Environment; close: () => void } {
  const events = socket({ url: socketUrl, headers: bearer, ...settings });
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
        return events.subscribe({ query: text ?? '', variables }, { ...sink, next });
      }),
  );
  return {
    environment: new Environment({ network, store: new Store(new RecordSource()) }),
    close: () => void events.dispose(),
  };
}
// #endregion

import {
  commitMutation,
  createOperationDescriptor,
  fetchQuery,
  getFragment,
  getRequest,
  getSingularSelector,
  graphql,
  requestSubscription,
  type GraphQLTaggedNode,
  type MutationParameters,
  type OperationType,
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
export async function book(environment: Environment, input: BookFlightInput): Promise<Booked> {
  const mutation = graphql`
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
  `;
  return (await send<relayBookMutation>(environment, mutation, { input })).bookFlight!; // null only if there are errors
}

/** Delivers every event of a saga above `after` once; settles when the saga ends. */
export function follow(
  environment: Environment,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
  after = 0,
): Promise<void> {
  const subscription = graphql`
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
  `;
  const variables = { correlationId, after };
  return subscribe<relaySagaEventsSubscription>(environment, subscription, variables, (data) => onEvent(data.sagaEvents));
}

/** Sends a mutation. */
export function send<Mutation extends MutationParameters>(
  environment: Environment,
  mutation: GraphQLTaggedNode,
  variables: Mutation['variables'],
): Promise<Mutation['response']> {
  return new Promise((resolve, reject) => {
    commitMutation<Mutation>(environment, {
      mutation,
      variables,
      onCompleted: (data, errors) => (errors?.length ? reject(errors) : resolve(data)),
      onError: reject,
    });
  });
}

/** Delivers every result of a subscription; settles when it is over. */
function subscribe<Subscription extends OperationType>(
  environment: Environment,
  subscription: GraphQLTaggedNode,
  variables: Subscription['variables'],
  onData: (data: Subscription['response']) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    requestSubscription<Subscription>(environment, {
      subscription,
      variables,
      onNext: (data) => data && onData(data),
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

import type { Shop, State } from './checkout.js';
import type { relayConfirmMutation } from './__generated__/relayConfirmMutation.graphql.js';
import type { relayPayMutation } from './__generated__/relayPayMutation.graphql.js';
import type { relaySagaStateSubscription } from './__generated__/relaySagaStateSubscription.graphql.js';

const PAY = graphql`
  mutation relayPayMutation($input: PayForHoldInput!) {
    payForHold(input: $input) {
      errors {
        __typename
        ... on UserError {
          message
        }
      }
    }
  }
`;
const CONFIRM = graphql`
  mutation relayConfirmMutation($input: ConfirmCardInput!) {
    confirmCard(input: $input) {
      errors {
        __typename
        ... on UserError {
          message
        }
      }
    }
  }
`;
const STATE = graphql`
  subscription relaySagaStateSubscription($correlationId: UUID!) {
    saga(correlationId: $correlationId) {
      id
      status
      failure {
        message
      }
      booking {
        reference
      }
      awaiting {
        __typename
        until
        lastFailure {
          message
        }
        ... on PaymentAwaited {
          amount {
            amount
            currency
          }
        }
        ... on CardConfirmationAwaited {
          clientSecret
          url
        }
      }
    }
  }
`;

export function shop(environment: Environment): Shop {
  return {
    pay: async (correlationId, token) => {
      const input = { correlationId, payment: { token } };
      return (await send<relayPayMutation>(environment, PAY, { input })).payForHold!.errors;
    },
    confirm: async (correlationId) =>
      (await send<relayConfirmMutation>(environment, CONFIRM, { input: { correlationId } })).confirmCard!.errors,
    watch: (correlationId, onState) =>
      subscribe<relaySagaStateSubscription>(environment, STATE, { correlationId }, ({ saga }) => onState(saga as State)),
  };
}
