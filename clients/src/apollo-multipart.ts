import { book, follow, sagas, shop } from './apollo.js';
import { tell } from './story.js';

// #region client
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, ServerError } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { defer, retry, tap } from 'rxjs';
import { fetch } from './clock.js';
import type { SagaEvent } from './operations.js';
import { backoff } from './resuming.js';

export function connect(url: string, bearer: () => Promise<Record<string, string>>): ApolloClient {
  const authorized = new SetContextLink(async ({ headers }) => ({ headers: { ...headers, ...(await bearer()) } }));
  // HttpLink streams subscriptions, but does not reconnect. This link does, and resumes after the last event.
  const resuming = new ApolloLink((operation, forward) => {
    if (operation.operationType !== OperationTypeNode.SUBSCRIPTION) return forward(operation);
    return defer(() => forward(operation)).pipe(
      tap(({ data }) => {
        const event: SagaEvent | undefined = data?.['sagaEvents'];
        if (event) operation.variables = { ...operation.variables, after: event.sequence };
      }),
      retry({
        delay: (error, retries) => {
          if (ServerError.is(error) && error.statusCode < 500) throw error;
          return backoff(retries);
        },
        resetOnSuccess: true,
      }),
    );
  });
  return new ApolloClient({
    link: ApolloLink.from([resuming, authorized, new HttpLink({ uri: url, fetch })]),
    // The cache joins the pages of a list.
    cache: new InMemoryCache({ typePolicies: { Query: { fields: { sagas: relayStylePagination(['filter']) } } } }),
  });
}
// #endregion

await tell((url, _, bearer) => {
  const client = connect(url, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
    shop: shop(client),
  };
});
