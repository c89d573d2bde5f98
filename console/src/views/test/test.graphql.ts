import { graphql } from '../../api/generated';
import type { BookErrorFragment, OfferFragment } from '../../api/generated/graphql';

/** A flight as it is sold. */
export const Offer = graphql(`
  fragment Offer on Flight {
    ...FlightView
    fares {
      cabinClass
      seatsAvailable
      miles
      price {
        ...Sum
      }
    }
  }
`);

/** Where flights go from, and the soonest ones, one of which an empty form begins with. */
export const Timetable = graphql(`
  query Timetable {
    airports {
      code
      city
    }
    flights(first: 20) {
      edges {
        node {
          id
          departsAt
          origin {
            code
            timeZone
          }
          destination {
            code
          }
        }
      }
    }
  }
`);

export const SearchTrips = graphql(`
  query SearchTrips($input: TripSearchInput!) {
    searchTrips(input: $input) {
      outbound {
        ...Offer
      }
      inbound {
        ...Offer
      }
    }
  }
`);

export const Member = graphql(`
  query Member($memberNumber: String!) {
    loyaltyAccount(memberNumber: $memberNumber) {
      id
      name
      balance
      pendingMiles
    }
  }
`);

export const ProviderNow = graphql(`
  query ProviderNow {
    paymentProvider {
      breaker
    }
  }
`);

export const BookError = graphql(`
  fragment BookError on BookFlightError {
    __typename
    ... on UserError {
      message
      path
    }
    ... on PriceChangedError {
      total {
        ...Sum
      }
    }
    ... on TooManyHoldsError {
      limit
    }
    ... on PaymentsUnavailableError {
      retryAfterSeconds
    }
  }
`);

export const BookFlight = graphql(`
  mutation BookFlight($input: BookFlightInput!) {
    bookFlight(input: $input) {
      saga {
        id
        correlationId
      }
      errors {
        ...BookError
      }
    }
  }
`);

export const PayForHold = graphql(`
  mutation PayForHold($input: PayForHoldInput!) {
    payForHold(input: $input) {
      saga {
        id
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const ConfirmCard = graphql(`
  mutation ConfirmCard($correlationId: UUID!) {
    confirmCard(input: { correlationId: $correlationId }) {
      saga {
        id
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const CancelSaga = graphql(`
  mutation CancelSaga($correlationId: UUID!) {
    cancelSaga(input: { correlationId: $correlationId }) {
      saga {
        id
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

export type Offer = OfferFragment;
export type BookError = BookErrorFragment;
