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
    stuck: sagas(filter: { status: [STUCK] }, first: 1) {
      totalCount
      edges {
        node {
          id
          correlationId
        }
      }
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
    abandoned: sagas(filter: { status: [ABANDONED], startedAfter: $since }, first: 10) {
      totalCount
      edges {
        node {
          ...SagaLine
        }
      }
    }
  }
`);

export type Statistics = NonNullable<OverviewQuery['sagaStatistics']>;
export type Bucket = Statistics['buckets'][number];
export type HeldSeat = NonNullable<OverviewQuery['seatReservations']>['edges'][number]['node'];
