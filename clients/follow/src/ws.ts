import { type Client, type ClientOptions, createClient } from 'graphql-ws';
import { type Headers, SILENCE_MS } from './protocol.js';
import { resume, type Settings } from './resume.js';

export interface SocketOptions extends Omit<ClientOptions, 'connectionParams'>, Settings {
  /** Called at each connection; sent as the payload of `connection_init`. */
  readonly headers?: Headers | undefined;
}

/**
 * Returns a client of graphql-ws whose subscriptions end only when their saga does, as `resume` has it.
 *
 * One socket carries all subscriptions of a page: the first opens it, the last closes it. The client pings the server;
 * a socket on which nothing arrives for `silenceMs` is lost, also while it connects.
 */
export function socket({ headers, silenceMs = SILENCE_MS, pruned, backoffMs, onStatus, ...options }: SocketOptions): Client {
  let silent: ReturnType<typeof setTimeout>;
  const heard = (): void => clearTimeout(silent);
  const expect = (ms: number): void => {
    heard();
    silent = setTimeout(() => client.terminate(), ms);
  };
  const pingMs = silenceMs * 0.4;
  const { on } = options;
  const client = createClient({
    retryAttempts: 0, // `resume` tries again
    keepAlive: pingMs,
    ...options,
    ...(headers && { connectionParams: headers }),
    webSocketImpl: calm((options.webSocketImpl ?? globalThis.WebSocket) as typeof WebSocket | undefined),
    on: {
      ...on,
      connecting: (isRetry) => (expect(silenceMs), on?.connecting?.(isRetry)),
      ping: (received, payload) => (received || expect(silenceMs - pingMs), on?.ping?.(received, payload)),
      message: (message) => (heard(), on?.message?.(message)),
      error: (error) => (heard(), on?.error?.(error)),
      closed: (event) => (heard(), on?.closed?.(event)),
    },
  });
  return resume(client, { pruned, backoffMs, onStatus });
}

/** In Node, the package ws ends the process if it is closed while it connects and nobody listens for its error. */
function calm(WebSocketImpl: typeof WebSocket | undefined): typeof WebSocket | undefined {
  return (
    WebSocketImpl &&
    class extends WebSocketImpl {
      constructor(...given: ConstructorParameters<typeof WebSocket>) {
        super(...given);
        this.addEventListener('error', () => {});
      }
    }
  );
}
