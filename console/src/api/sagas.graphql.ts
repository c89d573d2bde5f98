import { graphql } from './generated';
import type { SagaRowFragment } from './generated/graphql';

/** A saga in a list: what does not change of it, besides its line. */
export const SagaRow = graphql(`
  fragment SagaRow on Saga {
    ...SagaLine
    flights {
      id
      number
      origin {
        code
      }
      destination {
        code
      }
    }
    passengers {
      familyName
    }
  }
`);

export const SagaPage = graphql(`
  query SagaPage($filter: SagaFilter, $first: Int!, $after: String, $orderBy: SagaOrder!) {
    sagas(filter: $filter, first: $first, after: $after, orderBy: $orderBy) {
      edges {
        node {
          ...SagaRow
        }
      }
      pageInfo {
        ...NextPage
      }
      totalCount
    }
  }
`);

export const SagaFound = graphql(`
  query SagaFound($correlationId: UUID!) {
    saga(correlationId: $correlationId) {
      ...SagaRow
    }
  }
`);

/** What one box finds, best first: for a list its sagas, and where else they lead. */
export const Found = graphql(`
  query Found($text: String!, $first: Int!) {
    search(text: $text, first: $first) {
      __typename
      ... on Saga {
        ...SagaRow
      }
      ... on Booking {
        id
        reference
        saga {
          ...SagaRow
        }
        cancellation {
          ...SagaRow
        }
      }
      ... on Flight {
        ...FlightView
      }
      ... on LoyaltyAccount {
        memberNumber
        name
      }
    }
  }
`);

/** The same for suggestions: no more than their words. */
export const Suggested = graphql(`
  query Suggested($text: String!, $first: Int!) {
    search(text: $text, first: $first) {
      __typename
      ... on Saga {
        id
        correlationId
        status
        startedAt
      }
      ... on Booking {
        id
        reference
        bookingStatus: status
        saga {
          id
          correlationId
        }
        passengers {
          familyName
        }
      }
      ... on Flight {
        ...FlightView
      }
      ... on LoyaltyAccount {
        memberNumber
        name
      }
    }
  }
`);

/** What operators did to one saga, newest first. */
export const SagaRecord = graphql(`
  query SagaRecord($correlationId: UUID!, $first: Int!) {
    saga(correlationId: $correlationId) {
      id
      operatorActions(first: $first) {
        totalCount
        edges {
          node {
            id
            at
            kind
            reason
            by {
              role
              subject
            }
          }
        }
      }
    }
  }
`);

export const SagaCounts = graphql(`
  query SagaCounts($since: DateTime) {
    sagaStatistics(since: $since) {
      since
      started
      byStatus {
        status
        count
      }
    }
  }
`);

export const FlightsByNumber = graphql(`
  query FlightsByNumber($number: String!) {
    flights(filter: { number: $number }, first: 40) {
      edges {
        node {
          ...FlightView
        }
      }
    }
  }
`);

export const FlightById = graphql(`
  query FlightById($id: ID!) {
    flight(id: $id) {
      ...FlightView
    }
  }
`);

export type RowSaga = SagaRowFragment;
