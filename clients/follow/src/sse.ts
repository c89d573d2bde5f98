import { type Headers, type Request, SILENCE_MS, type Sink, type Source } from './protocol.js';

/**
 * Returns a `fetch` whose answers fail when nothing arrives for `silenceMs`.
 *
 * A laptop that slept, or a NAT that forgot a connection, leaves it open and silent for ever. The server sends a
 * heartbeat on a silent stream, and answers a query with `waitSeconds` of 20 in time.
 */
export function watched(fetch = globalThis.fetch, silenceMs = SILENCE_MS): typeof globalThis.fetch {
  return async (input, init) => {
    const stopping = new AbortController();
    const { signal } = stopping;
    // Not AbortSignal.any: in Node 20, its signal may be collected before it fires; and then `fetch` never hears of it.
    const given = init?.signal;
    const stop = (): void => stopping.abort(given?.reason);
    given?.addEventListener('abort', stop, { signal }); // `stopping` also forgets the given signal, which may live on
    if (given?.aborted) stop();
    const within = <Value>(pending: Promise<Value>): Promise<Value> => {
      let fail = (): void => {};
      const timer = setTimeout(() => stopping.abort(new TypeError('The connection is silent.')), silenceMs);
      return new Promise<Value>((resolve, reject) => {
        fail = () => reject(signal.reason);
        signal.addEventListener('abort', fail);
        pending.then(resolve, (cause) => (reject(cause), stopping.abort()));
      }).finally(() => {
        clearTimeout(timer);
        signal.removeEventListener('abort', fail);
      });
    };
    const answer = await within(fetch(input, { ...init, signal }));
    const reader = answer.body?.getReader();
    if (!reader) return stopping.abort(), answer;
    const cancel = (): void => void reader.cancel().catch(() => {});
    signal.addEventListener('abort', cancel);
    const body = new ReadableStream<Uint8Array>({
      async pull(stream) {
        const { done, value } = await within(reader.read());
        if (done) stream.close(), stopping.abort();
        else stream.enqueue(value);
      },
      cancel: () => stopping.abort(),
    });
    return new Response(body, answer);
  };
}

export interface StreamOptions {
  /** Of the endpoint, `https://.../graphql`. */
  readonly url: string;
  readonly headers?: Headers | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  readonly silenceMs?: number | undefined;
}

/** Subscribes over Server-Sent Events with `fetch` alone. For `resume`: by itself it does not come back. */
export function sse({ url, headers, fetch, silenceMs }: StreamOptions): Source {
  const request = watched(fetch, silenceMs);
  const open = async (body: Request, signal: AbortSignal): Promise<Response> =>
    request(url, {
      method: 'POST',
      signal,
      headers: { accept: 'text/event-stream', 'content-type': 'application/json', ...(await headers?.()) },
      body: JSON.stringify(body),
    });
  return {
    subscribe: (body: Request, sink: Sink) => {
      const stopping = new AbortController();
      const { signal } = stopping;
      open(body, signal)
        .then((answer) => read(answer, (result) => signal.aborted || sink.next(result)))
        .then(() => signal.aborted || sink.complete())
        .catch((cause: unknown) => signal.aborted || sink.error(cause));
      return () => stopping.abort();
    },
  };
}

/** Calls `next` with each result; settles at the event `complete`, and fails where the stream ends without it. */
async function read(answer: Response, next: (result: unknown) => void): Promise<void> {
  if (answer.status === 204) return;
  if (!answer.body || !answer.headers.get('content-type')?.startsWith('text/event-stream')) throw await refusal(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  for (let text = ''; ; ) {
    const { done, value } = await reader.read();
    if (done) throw new TypeError('The stream was cut off.');
    const events = (text + value).split(/\r?\n\r?\n/);
    text = events.pop()!;
    for (const event of events) {
      if (/^event: ?complete$/m.test(event)) return;
      const data = [...event.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join('\n');
      if (data) next(JSON.parse(data));
    }
  }
}

/** What answers instead of a stream: the server with GraphQL errors or a problem, or a proxy with a page. */
async function refusal(response: Response): Promise<Error> {
  const { errors, detail } = (await response.json().catch(() => null)) ?? {};
  return Object.assign(new Error(detail ?? `HTTP ${response.status}`), { response, errors });
}
