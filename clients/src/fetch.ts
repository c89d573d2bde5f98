import { BookFlight, Sagas } from './operations.js';
import { nodes } from './pages.js';
import { tell } from './story.js';

// #region client
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { fetch } from './clock.js';
import { SagaEvents, type SagaEvent } from './operations.js';
import { backoff } from './resuming.js';

type Bearer = () => Promise<Record<string, string>>;

const JSON_TYPE = 'application/graphql-response+json';
const EVENT_STREAM = 'text/event-stream';

async function post(url: string, bearer: Bearer, accept: string, body: object): Promise<Response> {
  const headers = { accept, 'content-type': 'application/json', ...(await bearer()) };
  return fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
}

/** Returns the data of a query or a mutation, typed by its document; throws the GraphQL errors. */
export async function ask<Data, Variables>(
  url: string,
  bearer: Bearer,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const answer = await post(url, bearer, JSON_TYPE, { query: print(document), variables });
  const { data, errors } = (await answer.json()) as { data?: Data; errors?: unknown };
  if (errors || !data) throw errors;
  return data;
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export function follow(
  url: string,
  bearer: Bearer,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
): Promise<void> {
  let after = 0;
  return subscribe(url, bearer, SagaEvents, () => ({ correlationId, after }), ({ sagaEvents }) => {
    after = sagaEvents.sequence;
    onEvent(sagaEvents);
  });
}

/** Delivers every result of a subscription; settles when the server ends it. `variables`: asked at each connect. */
export async function subscribe<Data, Variables>(
  url: string,
  bearer: Bearer,
  document: TypedDocumentNode<Data, Variables>,
  variables: () => Variables,
  onData: (data: Data) => void,
): Promise<void> {
  for (let lost = 0; ; lost++) {
    try {
      const stream = await post(url, bearer, EVENT_STREAM, { query: print(document), variables: variables() });
      if (stream.status < 500) {
        for await (const { event, data } of events(stream)) {
          if (event === 'complete') return;
          const { data: result, errors } = JSON.parse(data ?? 'null');
          if (errors || !result) throw errors;
          onData(result);
        }
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch throws a TypeError for a lost connection
    }
    await backoff(lost);
  }
}

/** Yields a stream's events as objects of their fields, without the heartbeat comments. */
async function* events(stream: Response): AsyncGenerator<{ event?: string; data?: string }> {
  if (!stream.body || !stream.headers.get('content-type')?.startsWith(EVENT_STREAM)) throw await stream.json();
  let text = '';
  for await (const chunk of stream.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = block.matchAll(/^(event|data): (.*)$/gm);
      const event = Object.fromEntries([...fields].map(([, name, value]) => [name, value]));
      if (event.event) yield event;
    }
  }
}
// #endregion

// #region checkout
import { shopOf, type Shop } from './checkout.js';

export function shop(url: string, bearer: Bearer): Shop {
  return shopOf({
    send: (document, variables) => ask(url, bearer, document, variables),
    subscribe: (document, variables, onData) => subscribe(url, bearer, document, () => variables, onData),
  });
}
// #endregion

await tell((url, _, bearer) => ({
  book: async (input) => (await ask(url, bearer, BookFlight, { input })).bookFlight!, // null only if there are errors
  follow: (correlationId, onEvent) => follow(url, bearer, correlationId, onEvent),
  sagas: (first) => nodes(async (after) => (await ask(url, bearer, Sagas, { first, after })).sagas),
  shop: shop(url, bearer),
}));
