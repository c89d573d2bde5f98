// #region checkout
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { SagaStateSubscription } from './generated/graphql.js';
import { graphql } from './generated/index.js';

export const PayForHold = graphql(`
  mutation PayForHold($input: PayForHoldInput!) {
    payForHold(input: $input) {
      saga {
        id
        status
      }
      errors {
        __typename
        ... on UserError {
          message
        }
      }
    }
  }
`);

export const ConfirmCard = graphql(`
  mutation ConfirmCard($input: ConfirmCardInput!) {
    confirmCard(input: $input) {
      saga {
        id
        status
      }
      errors {
        __typename
        ... on UserError {
          message
        }
      }
    }
  }
`);

export const SagaState = graphql(`
  subscription SagaState($correlationId: UUID!) {
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
`);

export type State = SagaStateSubscription['saga'];
export type Refusals = ReadonlyArray<{ readonly __typename: string }>;

/** What a checkout asks of the server. */
export interface Shop {
  /** Pays for held seats. Returns why not, if the server refuses; a decline by the bank comes as a new state. */
  pay(correlationId: string, token: string): Promise<Refusals>;
  /** Tells the server that the customer has come back from the bank. */
  confirm(correlationId: string): Promise<Refusals>;
  /** Delivers the saga as it stands, and again after each change; settles when it ends. */
  watch(correlationId: string, onState: (saga: State) => void): Promise<void>;
}

/** A client library, as the sections above show it. */
export interface Library {
  send<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  subscribe<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    onData: (data: Data) => void,
  ): Promise<void>;
}

export function shopOf({ send, subscribe }: Library): Shop {
  return {
    pay: async (correlationId, token) => {
      const { payForHold } = await send(PayForHold, { input: { correlationId, payment: { token } } });
      return payForHold!.errors; // null only if there are GraphQL errors
    },
    confirm: async (correlationId) => {
      const { confirmCard } = await send(ConfirmCard, { input: { correlationId } });
      return confirmCard!.errors;
    },
    watch: (correlationId, onState) => subscribe(SagaState, { correlationId }, ({ saga }) => onState(saga)),
  };
}
// #endregion

// #region screen
/** What a checkout shows for a state of its saga. Count down to `until` by `secondsUntil`. */
export type Screen =
  | { readonly show: 'card'; readonly until: string; readonly amount: string; readonly declined: string | undefined }
  | { readonly show: 'bank'; readonly until: string; readonly url: string | null; readonly clientSecret: string | null }
  | { readonly show: 'progress' }
  | { readonly show: 'booked'; readonly reference: string }
  | { readonly show: 'failed'; readonly reason: string };

export function screenOf({ status, awaiting, booking, failure }: State): Screen {
  switch (awaiting?.__typename) {
    case 'PaymentAwaited': {
      const { until, amount, lastFailure } = awaiting;
      return { show: 'card', until, amount: `${amount.amount} ${amount.currency}`, declined: lastFailure?.message };
    }
    case 'CardConfirmationAwaited':
      return { show: 'bank', until: awaiting.until, url: awaiting.url, clientSecret: awaiting.clientSecret };
  }
  if (status === 'COMPLETED' && booking) return { show: 'booked', reference: booking.reference };
  if (failure) return { show: 'failed', reason: failure.message };
  return { show: 'progress' };
}
// #endregion
