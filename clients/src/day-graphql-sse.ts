import { shopOf, type Library } from './checkout.js';
import { byDocuments, spend } from './day.js';
import { ask, follow, subscribe } from './graphql-ws.js';
import { connect } from './graphql-sse.js';
import { BookFlight, Sagas } from './operations.js';
import { nodes } from './pages.js';

await spend((url, _, bearer) => {
  const client = connect(url, bearer);
  const send: Library['send'] = (document, variables) => ask(client, document, variables);
  return {
    ...byDocuments(send),
    book: async (input) => (await send(BookFlight, { input })).bookFlight!, // null only if there are errors
    follow: async (correlationId, onEvent) => {
      for await (const event of follow(client, correlationId)) onEvent(event);
    },
    shop: shopOf({
      send,
      subscribe: async (document, variables, onData) => {
        for await (const data of subscribe(client, document, variables)) onData(data);
      },
    }),
    sagas: (first) => nodes(async (after) => (await send(Sagas, { first, after })).sagas!),
  };
});
