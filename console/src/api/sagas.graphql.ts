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
  query SagaPage($filter: SagaFilter, $first: Int!, $after: String) {
    sagas(filter: $filter, first: $first, after: $after) {
      edges {
        node {
          ...SagaRow
        }
      }
      pageInfo {
        hasNextPage
        endCursor
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

/** The sagas of a booking: that which made it, and that which cancels it. */
export const BookingSagas = graphql(`
  query BookingSagas($reference: String!) {
    booking(reference: $reference) {
      id
      saga {
        ...SagaRow
      }
      cancellation {
        ...SagaRow
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
