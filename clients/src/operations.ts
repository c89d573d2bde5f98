import type { BookFlightMutation, SagaEventsSubscription, SagasQuery } from './generated/graphql.js';
import { graphql } from './generated/index.js';

export const BookFlight = graphql(`
  mutation BookFlight($input: BookFlightInput!) {
    bookFlight(input: $input) {
      saga {
        id
        correlationId
        status
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
`);

export const SagaEvents = graphql(`
  subscription SagaEvents($correlationId: UUID!, $after: Int!) {
    sagaEvents(correlationId: $correlationId, after: $after) {
      id
      sequence
      type
      step
      message
      saga {
        id
        status
      }
    }
  }
`);

export const Sagas = graphql(`
  query Sagas($first: Int!, $after: String) {
    sagas(first: $first, after: $after) {
      edges {
        node {
          id
          correlationId
          status
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

export type Booked = NonNullable<BookFlightMutation['bookFlight']>;
export type SagaEvent = SagaEventsSubscription['sagaEvents'];
export type Saga = SagasQuery['sagas']['edges'][number]['node'];
