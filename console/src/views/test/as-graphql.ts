import { at } from '../../base-path';
import type { Request } from './run';

const FOLLOW = `subscription Follow($correlationId: UUID!) {
  saga(correlationId: $correlationId) {
    status
    sequence
    queue { pending executing completed failed compensations compensating compensated }
    steps { name status summary undo { name status summary } }
    booking { reference }
  }
}
`;

const BOOK = `# Run Book, then Follow. Book returns the same saga however often it is sent: its correlation ID is the same.
mutation Book($input: BookFlightInput!) {
  bookFlight(input: $input) {
    saga { correlationId definition status }
    errors { __typename ... on UserError { message path } }
  }
}

`;

/** GraphiQL's address for a run: the mutation that asks for it, and the subscription that follows it. */
export function bookingAsGraphql(request: Request): string {
  const { correlationId } = request;
  return address(BOOK + FOLLOW, { input: request, correlationId }, 'Book');
}

/** GraphiQL's address for a run that this page did not ask for. */
export function followingAsGraphql(correlationId: string): string {
  return address(FOLLOW, { correlationId }, 'Follow');
}

function address(query: string, variables: object, operationName: string): string {
  return at(`/graphql?${new URLSearchParams({ query, variables: JSON.stringify(variables), operationName })}`);
}
