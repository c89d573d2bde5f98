import { graphql } from './generated';
import type { OverviewQuery } from './generated/graphql';

export const Overview = graphql(`
  query Overview($since: DateTime!, $seconds: Int!) {
    sagaStatistics(since: $since) {
      since
      started
      finished
      unfinished
      gotStuck
      byStatus {
        status
        count
      }
      queue {
        pending
        executing
        completed
        failed
        compensationsPending
        compensating
        stuck
      }
      successRate
      compensationSuccessRate
      durationMsP50
      durationMsP95
      failedAt {
        step
        count
      }
      buckets(seconds: $seconds) {
        startsAt
        completed
        compensated
        abandoned
        stuck
        durationMsP50
        durationMsP95
      }
    }
    paymentProvider {
      ...ProviderNow
    }
    stuck: sagas(filter: { status: [STUCK, PARKED] }, first: 1) {
      totalCount
    }
    seatReservations(filter: { status: [HELD] }, first: 100) {
      totalCount
      edges {
        node {
          id
          correlationId
          heldAt
          expiresAt
          seat {
            id
            number
          }
          flight {
            id
            number
            origin {
              code
            }
            destination {
              code
            }
          }
        }
      }
    }
    unsettled: sagas(filter: { isUnsettled: true }, first: 5, orderBy: OLDEST_FIRST) {
      totalCount
      edges {
        node {
          ...SagaLine
        }
      }
    }
  }
`);

export const ProviderPause = graphql(`
  mutation ProviderPause($reason: String!) {
    pausePaymentProvider(input: { reason: $reason }) {
      provider {
        breaker
      }
      errors {
        message
      }
    }
  }
`);

export const ProviderResume = graphql(`
  mutation ProviderResume($reason: String!) {
    resumePaymentProvider(input: { reason: $reason }) {
      provider {
        breaker
      }
      errors {
        message
      }
    }
  }
`);

export type Provider = NonNullable<OverviewQuery['paymentProvider']>;
export type Statistics = NonNullable<OverviewQuery['sagaStatistics']>;
export type Bucket = Statistics['buckets'][number];
export type HeldSeat = NonNullable<OverviewQuery['seatReservations']>['edges'][number]['node'];
