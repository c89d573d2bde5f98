import { graphql } from './generated';
import type { AffectedSagaFragment, IncidentsQuery, OperatorActionRowFragment } from './generated/graphql';

export const NeedsNow = graphql(`
  query NeedsNow {
    ...Needs
  }
`);

/** A saga of an incident or of the worklist: who is affected, and what is at stake. */
export const AffectedSaga = graphql(`
  fragment AffectedSaga on Saga {
    ...SagaRow
    stuckSince
    atStake {
      ...Stake
    }
  }
`);

export const Incidents = graphql(`
  query Incidents {
    incidents {
      status
      step
      compensation
      failureCode
      message
      sagas
      oldestSince
      newestSince
      money {
        ...Sum
      }
      points
      seats
      runbook
    }
    paymentProvider {
      ...ProviderNow
    }
    ...Needs
  }
`);

/** The sagas of one incident, those that are stuck longest first. */
export const IncidentSagas = graphql(`
  query IncidentSagas($filter: SagaFilter!, $first: Int!) {
    sagas(filter: $filter, first: $first, orderBy: LONGEST_STUCK_FIRST) {
      edges {
        node {
          ...AffectedSaga
        }
      }
      totalCount
    }
  }
`);

export const UnsettledSagas = graphql(`
  query UnsettledSagas($first: Int!, $after: String) {
    sagas(filter: { isUnsettled: true }, first: $first, after: $after, orderBy: OLDEST_FIRST) {
      edges {
        node {
          ...AffectedSaga
        }
      }
      pageInfo {
        ...NextPage
      }
      totalCount
    }
  }
`);

export const SettleSaga = graphql(`
  mutation SettleSaga($correlationId: UUID!, $how: String!) {
    settleSaga(input: { correlationId: $correlationId, how: $how }) {
      saga {
        ...SagaLine
      }
      errors {
        ...Refusal
      }
    }
  }
`);

export const OperatorActionRow = graphql(`
  fragment OperatorActionRow on OperatorAction {
    id
    at
    kind
    reason
    job
    requestId
    before
    after
    by {
      role
      subject
    }
    saga {
      id
      correlationId
    }
    bulkAction {
      id
      reason
    }
  }
`);

export const OperatorActions = graphql(`
  query OperatorActions($filter: OperatorActionFilter, $first: Int!, $after: String) {
    operatorActions(filter: $filter, first: $first, after: $after) {
      edges {
        node {
          ...OperatorActionRow
        }
      }
      pageInfo {
        ...NextPage
      }
      totalCount
    }
  }
`);

export type Incident = NonNullable<IncidentsQuery['incidents']>[number];
export type Affected = AffectedSagaFragment;
export type OperatorActionEntry = OperatorActionRowFragment;
