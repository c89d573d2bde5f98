import { graphql } from './generated';

export const NeedsNow = graphql(`
  query NeedsNow {
    stuck: sagas(filter: { status: [STUCK] }, first: 1) {
      totalCount
    }
    parked: sagas(filter: { status: [PARKED] }, first: 1) {
      totalCount
    }
  }
`);
