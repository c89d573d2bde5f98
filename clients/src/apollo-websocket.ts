/** Apollo Client with subscriptions over a WebSocket. */

// #region client
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import type { Headers, Settings } from '@seatsaga/follow';
import { socket } from '@seatsaga/follow/ws';
import { OperationTypeNode } from 'graphql';
import { fetch } from './clock.js';

export function connect(url: string, socketUrl: string, bearer: Headers, settings: Settings = {}): ApolloClient {
  const http = new SetContextLink(async ({ headers }) => ({ headers: { ...headers, ...(await bearer()) } })).concat(
    new HttpLink({ uri: url, fetch }),
  );
  const subscriptions = new GraphQLWsLink(socket({ url: socketUrl, headers: bearer, ...settings }));
  return new ApolloClient({
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      subscriptions,
      http,
    ),
    // The cache joins the pages of a list.
    cache: new InMemoryCache({ typePolicies: { Query: { fields: { sagas: relayStylePagination(['filter']) } } } }),
  });
}
// #endregion
