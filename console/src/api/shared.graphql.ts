import { graphql } from './generated';

/** Parts that many documents share. */
export const NextPage = graphql(`
  fragment NextPage on PageInfo {
    hasNextPage
    endCursor
  }
`);

export const Sum = graphql(`
  fragment Sum on Money {
    amount
    currency
  }
`);

export const Stake = graphql(`
  fragment Stake on AtStake {
    money {
      ...Sum
    }
    points
    seats
  }
`);

export const Refusal = graphql(`
  fragment Refusal on UserError {
    message
  }
`);

export const ProviderNow = graphql(`
  fragment ProviderNow on PaymentProvider {
    name
    breaker
    since
    reason
    callsInFlight
    callsWaiting
    callsPerSecondMax
    lastFailure {
      code
      message
    }
  }
`);

/** How many sagas need an operator. */
export const Needs = graphql(`
  fragment Needs on Query {
    stuck: sagas(filter: { status: [STUCK] }, first: 1) {
      totalCount
    }
    parked: sagas(filter: { status: [PARKED] }, first: 1) {
      totalCount
    }
    unsettled: sagas(filter: { isUnsettled: true }, first: 1) {
      totalCount
    }
  }
`);
