import { graphql } from './generated/index.js';

export const SearchFlights = graphql(`
  query SearchFlights($filter: FlightFilter!) {
    flights(filter: $filter, first: 20) {
      edges {
        node {
          id
          number
        }
      }
    }
  }
`);

export const CancelBooking = graphql(`
  mutation CancelBooking($input: CancelBookingInput!) {
    cancelBooking(input: $input) {
      saga {
        id
        correlationId
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
