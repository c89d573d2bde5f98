import { book, follow, sagas, shop } from './apollo.js';
import { tell } from './story.js';

// #region client
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { SetContextLink } from '@apollo/client/link/context';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { relayStylePagination } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { fetch } from './clock.js';
import { openSocket } from './socket.js';

export function connect(url: string, socketUrl: string, bearer: () => Promise<Record<string, string>>): ApolloClient {
  const http = new SetContextLink(async ({ headers }) => ({ headers: { ...headers, ...(await bearer()) } })).concat(
    new HttpLink({ uri: url, fetch }),
  );
  const socket = new GraphQLWsLink(openSocket(socketUrl, bearer));
  return new ApolloClient({
    link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, socket, http),
    // The cache joins the pages of a list.
    cache: new InMemoryCache({ typePolicies: { Query: { fields: { sagas: relayStylePagination(['filter']) } } } }),
  });
}
// #endregion

await tell((url, socketUrl, bearer) => {
  const client = connect(url, socketUrl, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
    shop: shop(client),
  };
});
