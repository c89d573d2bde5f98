import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';

/** Over HTTP; subscriptions over WebSocket, with the same token. */
export const fetcher = createGraphiQLFetcher({
  url: '/graphql',
  wsClient: createClient({ url: `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/graphql` }),
});
