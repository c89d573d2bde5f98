/** graphql-ws alone; `ask` and `subscribe` do as well for graphql-sse. */

// #region client
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { follow as followEvents, iterate } from '@seatsaga/follow';
import type { Headers, SagaEvent, Settings, Source } from '@seatsaga/follow';
import { socket } from '@seatsaga/follow/ws';
import { print } from 'graphql';
import type { Client } from 'graphql-ws';

export function connect(socketUrl: string, bearer: Headers, settings: Settings = {}): Client {
  return socket({ url: socketUrl, headers: bearer, ...settings });
}

/** Yields every event of a saga above `after` once; ends when the saga does. */
export function follow(client: Source, correlationId: string, after = 0): AsyncIterable<SagaEvent> {
  return followEvents({ transport: client, correlationId, after });
}

/** Yields every result of another subscription. */
export async function* subscribe<Data, Variables extends Record<string, unknown>>(
  client: Source,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): AsyncGenerator<Data> {
  for await (const { data, errors } of iterate(client, { query: print(document), variables })) {
    if (errors || !data) throw errors;
    yield data;
  }
}

/** Sends a query or a mutation. */
export async function ask<Data, Variables extends Record<string, unknown>>(
  client: Source,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  for await (const data of subscribe(client, document, variables)) return data;
  throw new Error('There was no answer.');
}
// #endregion
