/** Apollo Client with everything over HTTP. */

// #region client
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { relayStylePagination } from '@apollo/client/utilities';
import { type Headers, resume, type Request, type Settings, type Sink, watched } from '@seatsaga/follow';
import { OperationTypeNode, print } from 'graphql';
import { fetch } from './clock.js';

export function connect(url: string, bearer: Headers, settings: Settings = {}): ApolloClient {
  const authorized = new SetContextLink(async ({ headers }) => ({ headers: { ...headers, ...(await bearer()) } }));
  const resuming = new ApolloLink((operation, forward) => {
    if (operation.operationType !== OperationTypeNode.SUBSCRIPTION) return forward(operation);
    const subscribe = ({ variables }: Request, sink: Sink): (() => void) => {
      operation.variables = { ...variables };
      const attempt = forward(operation).subscribe(sink);
      return () => attempt.unsubscribe();
    };
    const request = { query: print(operation.query), variables: operation.variables };
    return new Observable((sink) => resume({ subscribe }, settings).subscribe(request, sink));
  });
  return new ApolloClient({
    link: ApolloLink.from([resuming, authorized, new HttpLink({ uri: url, fetch: watched(fetch, settings.silenceMs) })]),
    // The cache joins the pages of a list.
    cache: new InMemoryCache({ typePolicies: { Query: { fields: { sagas: relayStylePagination(['filter']) } } } }),
  });
}
// #endregion
