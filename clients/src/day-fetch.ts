import { byDocuments, spend } from './day.js';
import { ask, events, shop } from './fetch.js';
import { BookFlight, Sagas } from './operations.js';
import { nodes } from './pages.js';

await spend((url, _, bearer) => ({
  ...byDocuments((document, variables) => ask(url, bearer, document, variables)),
  book: async (input) => (await ask(url, bearer, BookFlight, { input })).bookFlight!, // null only if there are errors
  follow: (correlationId, onEvent) => events(url, bearer, correlationId, onEvent),
  shop: shop(url, bearer),
  sagas: (first) => nodes(async (after) => (await ask(url, bearer, Sagas, { first, after })).sagas!),
}));
