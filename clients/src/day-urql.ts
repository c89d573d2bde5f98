import { byDocuments, spend } from './day.js';
import { book, follow, overWebSocket, sagas, send, shop } from './urql.js';

await spend((url, socketUrl, bearer) => {
  const client = overWebSocket(url, socketUrl, bearer);
  return {
    ...byDocuments(
      (document, variables) => send(client, document, variables),
      async (query, variables) => (await client.query(query, variables)).data!,
    ),
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    shop: shop(client),
    sagas: (first) => sagas(client, first),
  };
});
