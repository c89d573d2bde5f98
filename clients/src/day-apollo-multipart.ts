import { book, follow, sagas, send, shop } from './apollo.js';
import { connect } from './apollo-multipart.js';
import { byDocuments, spend } from './day.js';

await spend((url, _, bearer) => {
  const client = connect(url, bearer);
  return {
    ...byDocuments(
      (document, variables) => send(client, document, variables),
      async (query, variables) => (await client.query({ query, variables })).data!,
    ),
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    shop: shop(client),
    sagas: (first) => sagas(client, first),
  };
});
