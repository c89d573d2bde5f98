import { graphql } from './generated';

export const Viewer = graphql(`
  query Viewer {
    viewer {
      role
      subject
      scopes
    }
  }
`);
