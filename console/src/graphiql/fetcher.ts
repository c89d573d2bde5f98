import { createGraphiQLFetcher } from '@graphiql/toolkit';

/** Over HTTP; subscriptions over WebSocket, each on a socket of its own that is opened with what the headers say. */
export const fetcher = createGraphiQLFetcher({
  url: '/graphql',
  subscriptionUrl: `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/graphql`,
  // No answer comes in parts.
  enableIncrementalDelivery: false,
});
