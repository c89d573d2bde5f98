import { graphql } from './generated';
import type { BulkActionViewFragment } from './generated/graphql';

export const BulkActionView = graphql(`
  fragment BulkActionView on BulkAction {
    id
    kind
    status
    reason
    filter
    step
    sagasPerSecond
    startedAt
    finishedAt
    matched
    done
    passedOver
    by {
      role
      subject
    }
    byStatus {
      status
      count
    }
    passedOverBecause {
      reason
      sagas
    }
  }
`);

export const BulkActions = graphql(`
  query BulkActions($first: Int!, $after: String) {
    bulkActions(first: $first, after: $after) {
      edges {
        node {
          ...BulkActionView
        }
      }
      pageInfo {
        ...NextPage
      }
      totalCount
    }
  }
`);

export const OneBulkAction = graphql(`
  query OneBulkAction($id: ID!) {
    bulkAction(id: $id) {
      ...BulkActionView
    }
  }
`);

export const BulkActionNow = graphql(`
  subscription BulkActionNow($id: ID!) {
    bulkAction(id: $id) {
      ...BulkActionView
    }
  }
`);

export const StartBulkAction = graphql(`
  mutation StartBulkAction($input: StartBulkActionInput!) {
    startBulkAction(input: $input) {
      bulkAction {
        ...BulkActionView
      }
      matched
      errors {
        ... on InvalidInputError {
          code
          message
        }
      }
    }
  }
`);

export const StopBulkAction = graphql(`
  mutation StopBulkAction($id: ID!) {
    stopBulkAction(input: { id: $id }) {
      bulkAction {
        ...BulkActionView
      }
      errors {
        message
      }
    }
  }
`);

export type BulkAction = BulkActionViewFragment;
