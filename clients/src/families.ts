/** Every way to follow a saga that docs/clients.md shows, behind one interface. */

import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { type Headers, type Settings, watched } from '@seatsaga/follow';
import * as apollo from './apollo.js';
import { connect as apolloMultipart } from './apollo-multipart.js';
import { connect as apolloWebSocket } from './apollo-websocket.js';
import { follow as followEventSource } from './event-source.js';
import { events as followFetch } from './fetch.js';
import * as graphqlSse from './graphql-sse.js';
import * as graphqlWs from './graphql-ws.js';
import * as relay from './relay.js';
import * as urql from './urql.js';

globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket; // Node has its own from 22 on

export interface Numbered {
  readonly sequence: number;
  readonly type: string;
}

/** Delivers every event of a saga above `after`; settles when the saga ends. */
export type Follow = (correlationId: string, onEvent: (event: Numbered) => void, after?: number) => Promise<void>;

export type Family = (url: string, socketUrl: string, bearer: Headers, settings: Settings) => Follow;

const iterated =
  (follow: (correlationId: string, after?: number) => AsyncIterable<Numbered>): Follow =>
  async (correlationId, onEvent, after) => {
    for await (const event of follow(correlationId, after)) onEvent(event);
  };

export const FAMILIES: Record<string, Family> = {
  'Apollo, WebSocket': (...given) => {
    const client = apolloWebSocket(...given);
    return (...what) => apollo.follow(client, ...what);
  },
  'Apollo, multipart': (url, _, bearer, settings) => {
    const client = apolloMultipart(url, bearer, settings);
    return (...what) => apollo.follow(client, ...what);
  },
  'urql, WebSocket': (...given) => {
    const client = urql.overWebSocket(...given);
    return (...what) => urql.follow(client, ...what);
  },
  'urql, SSE': (url, _, bearer, settings) => {
    const client = urql.overServerSentEvents(url, bearer, settings);
    return (...what) => urql.follow(client, ...what);
  },
  Relay: (...given) => {
    const { environment } = relay.connect(...given);
    return (...what) => relay.follow(environment, ...what);
  },
  'graphql-ws': (_, socketUrl, bearer, settings) => {
    const client = graphqlWs.connect(socketUrl, bearer, settings);
    return iterated((...what) => graphqlWs.follow(client, ...what));
  },
  'graphql-sse': (url, _, bearer, settings) => {
    const client = graphqlSse.connect(url, bearer, settings);
    return iterated((...what) => graphqlWs.follow(client, ...what));
  },
  'fetch alone': (url, _, bearer, settings) => (correlationId, onEvent, after) =>
    followFetch(url, bearer, correlationId, onEvent, after, settings),
  EventSource: (url, _, bearer, settings) =>
    iterated((correlationId, after) =>
      followEventSource(url, correlationId, after, { ...settings, EventSource: withToken(bearer, settings.silenceMs) }),
    ),
};

/** The package eventsource, which can send a token; a browser's EventSource cannot. */
function withToken(bearer: Headers, silenceMs: number | undefined): typeof globalThis.EventSource {
  const fetch = watched(globalThis.fetch, silenceMs);
  return class extends EventSource {
    constructor(url: string) {
      super(url, {
        fetch: async (input, init) =>
          fetch(input, { ...init, headers: { ...init.headers, ...(await bearer()) } } as RequestInit),
      });
    }
  } as unknown as typeof globalThis.EventSource;
}
