import type { Request, Sink, Source } from './protocol.js';

export interface EventSourceOptions {
  /** Of the endpoint, `https://.../graphql`. */
  readonly url: string;
  /** Another than the browser's, for example one that can send a token. */
  readonly EventSource?: typeof globalThis.EventSource | undefined;
}

/**
 * Subscribes with an EventSource. For `resume`, which decides when to try again: an EventSource by itself gives up at
 * any answer but 200, such as a proxy's 502.
 */
export function eventSource({ url, EventSource = globalThis.EventSource }: EventSourceOptions): Source {
  return {
    subscribe: ({ query = '', variables = {} }: Request, sink: Sink) => {
      const source = new EventSource(`${url}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`);
      const close = (): void => source.close();
      source.addEventListener('next', ({ data }) => sink.next(JSON.parse(data)));
      source.addEventListener('complete', () => (close(), sink.complete()));
      source.addEventListener('error', (cause) => (close(), sink.error(cause)));
      return close;
    },
  };
}
