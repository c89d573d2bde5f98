/** No GraphQL library: `fetch` for queries and mutations, and for Server-Sent Events. */

// #region client
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { follow, type Headers, iterate, resume, type SagaEvent, type Settings, sse } from '@seatsaga/follow';
import { print } from 'graphql';
import { fetch } from './clock.js';

/** Returns the data of a query or a mutation, typed by its document; throws the GraphQL errors. */
export async function ask<Data, Variables>(
  url: string,
  bearer: Headers,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      accept: 'application/graphql-response+json',
      'content-type': 'application/json',
      ...(await bearer()),
    },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors } = (await answer.json()) as { data?: Data; errors?: unknown };
  if (errors || !data) throw errors;
  return data;
}

/** Delivers every event of a saga above `after` once; settles when the saga ends. */
export async function events(
  url: string,
  bearer: Headers,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
  after = 0,
  settings: Settings = {},
): Promise<void> {
  for await (const event of follow({ url, headers: bearer, correlationId, after, ...settings })) onEvent(event);
}

/** Delivers every result of another subscription; settles when it is over. */
export async function subscribe<Data, Variables extends Record<string, unknown>>(
  url: string,
  bearer: Headers,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  onData: (data: Data) => void,
): Promise<void> {
  const stream = resume(sse({ url, headers: bearer }));
  for await (const { data, errors } of iterate(stream, { query: print(document), variables })) {
    if (errors || !data) throw errors;
    onData(data);
  }
}
// #endregion

import { shopOf, type Shop } from './checkout.js';

export function shop(url: string, bearer: Headers): Shop {
  return shopOf({
    send: (document, variables) => ask(url, bearer, document, variables),
    subscribe: (document, variables, onData) => subscribe(url, bearer, document, variables, onData),
  });
}
