import { FollowError, judge } from './causes.js';
import type { Request, Result, Sink, Source } from './protocol.js';
import { after as soon, backoffMs } from './waiting.js';

/** How a subscription stands. */
export interface Status {
  /** `live`: results come. `lost`: the next attempt begins in `retryMs`, for the cause `error`. `over`: nothing more comes. */
  readonly state: 'live' | 'lost' | 'over';
  readonly error?: FollowError;
  readonly retryMs?: number;
  /** The sequence of the last event that came. */
  readonly after?: number | undefined;
}

export interface ResumeOptions {
  /** If the events after the cursor are deleted: end with HISTORY_PRUNED (`fail`), or go on with the oldest (`skip`). */
  readonly pruned?: 'fail' | 'skip' | undefined;
  readonly backoffMs?: ((retries: number) => number) | undefined;
  readonly onStatus?: ((status: Status) => void) | undefined;
}

/** What one's own `connect` may pass on to a socket or a stream. */
export interface Settings extends ResumeOptions {
  /** Without a byte for so long, a connection is lost; 25 s if it is not given. */
  readonly silenceMs?: number | undefined;
}

const TERMINAL_EVENTS = ['SAGA_COMPLETED', 'SAGA_COMPENSATED', 'SAGA_ABANDONED'];
const TERMINAL_STATUSES = ['COMPLETED', 'COMPENSATED', 'ABANDONED'];
/** An attempt that lasted so long was no failure to connect. */
const SETTLED_MS = 10_000;

/**
 * Returns the client with subscriptions that end only when their saga does.
 *
 * `sagaEvents` with a variable `after` ends after the terminal event; each event comes once, in order. `saga` ends with
 * a terminal status. Any other subscription ends when the server completes it. Until then a lost attempt is followed by
 * another. It ends early only with an error that no other attempt can mend: FORBIDDEN, NOT_FOUND, CURSOR_AHEAD, a
 * token that is refused twice in a row. Queries and mutations pass unchanged.
 *
 * The client is that of graphql-ws or graphql-sse, or any object that subscribes as they do.
 */
export function resume<Client extends Source>(client: Client, options: ResumeOptions = {}): Client {
  const [raw, settings] = resumed.get(client) ?? [client, {}];
  return resuming(raw as Client, { ...settings, ...options });
}

/** The clients that `resume` returned, each with its own one, so that none is resumed twice. */
const resumed = new WeakMap<Source, readonly [Source, ResumeOptions]>();

function resuming<Client extends Source>(client: Client, options: ResumeOptions): Client {
  const subscribe: Source['subscribe'] = (request, sink) =>
    isSubscription(request) ? keepSubscribed(client, request, sink, options) : client.subscribe(request, sink);
  const wrapped = { ...client, subscribe, iterate: (request: Request) => iterate({ subscribe }, request) };
  resumed.set(wrapped, [client, options]);
  return wrapped;
}

/** Yields every result of a subscription. Leaving the loop unsubscribes, and so does the signal, which ends the loop. */
export async function* iterate(
  source: Source,
  request: Request,
  signal?: AbortSignal,
): AsyncGenerator<Result, void, void> {
  const results: Result[] = [];
  let ending: (() => void) | undefined;
  let wake = (): void => {};
  const end = (how: () => void): void => {
    ending ??= how;
    wake();
  };
  const stop = source.subscribe(request, {
    next: (result: Result) => {
      results.push(result);
      wake();
    },
    error: (cause: unknown) =>
      end(() => {
        throw cause;
      }),
    complete: () => end(() => {}),
  });
  const abort = (): void => {
    results.length = 0;
    end(() => {});
  };
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  try {
    for (;;) {
      while (results.length) yield results.shift()!;
      if (ending) return ending();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    stop();
  }
}

function isSubscription({ query, variables }: Request): boolean {
  const hasCursor = typeof variables?.['after'] === 'number';
  if (!query) return hasCursor; // a persisted document
  const text = query.replace(/#.*/g, '');
  if (!/(^|\})\s*subscription\b/.test(text)) return false;
  if (/\bsagaEvents\b/.test(text) && !hasCursor) throw new Error('Give sagaEvents the variable `after`, a number.');
  return true;
}

function keepSubscribed(client: Source, request: Request, sink: Sink, options: ResumeOptions): () => void {
  const { pruned = 'fail', backoffMs: pauseMs = backoffMs, onStatus = () => {} } = options;
  const from = request.variables?.['after'];
  let after = typeof from === 'number' ? from : undefined;
  const isLog = after !== undefined;
  const isSaga = !isLog && /\bsaga\s*\(/.test(request.query ?? '');
  const variables = !isLog ? request.variables : {
    ...request.variables,
    // A client that reconnects by itself serializes its request again, and so reads this again.
    get after() {
      return after;
    },
  };
  let retries = 0;
  let refusals = 0;
  let isLive = false;
  let isOver = false;
  let stop = (): void => {};

  const end = (tell: () => void, error?: FollowError): void => {
    if (isOver) return;
    isOver = true;
    stop();
    onStatus({ state: 'over', after, ...(error && { error }) });
    tell();
  };

  const attempt = (): void => {
    const startedAt = Date.now();
    let isDone = false;
    let isCut = false; // what came says that there is more
    let leave: (() => void) | undefined;
    stop = () => {
      if (!isDone && leave) setTimeout(leave); // graphql-ws counts wrongly if one leaves before `complete`, in one read
      isDone = true;
    };

    const lose = (cause: unknown, tell: () => void): void => {
      if (isDone) return;
      stop();
      isLive = false;
      if (Date.now() - startedAt > SETTLED_MS) retries = refusals = 0;
      const { error, isFinal, retryAfterMs } = judge(cause);
      const oldest = error.errors[0]?.extensions?.['oldest'];
      const skips = pruned === 'skip' && error.code === 'HISTORY_PRUNED' && typeof oldest === 'number';
      const renews = error.code === 'UNAUTHENTICATED' && !isFinal && !refusals++;
      if (skips) after = oldest - 1;
      else if (!renews && (isFinal || error.code === 'UNAUTHENTICATED')) return end(tell, error);
      const retryMs = skips || renews ? 0 : Math.max(pauseMs(retries++), retryAfterMs);
      onStatus({ state: 'lost', error, retryMs, after });
      if (!isOver) stop = soon(retryMs, attempt, !retryAfterMs);
    };

    const next = (result: Result): void => {
      if (isDone) return;
      const value = result.data && Object.values<any>(result.data)[0];
      if (!value) {
        isCut = true; // in multipart, Apollo hides why the stream ends in a symbol
        if (result.errors) lose(result, () => (sink.next(result), sink.complete()));
        return;
      }
      try {
        if (isLog && !isNew(value)) return;
        // Every attempt at a list begins with a result, so this alone shows no progress.
        if (isLog) retries = refusals = 0;
        if (!isLive) onStatus({ state: 'live', after });
        isLive = true;
        sink.next(result);
        const isLast = isLog ? TERMINAL_EVENTS.includes(value.type) : isSaga && TERMINAL_STATUSES.includes(value.status);
        isCut = isSaga && Boolean(value.status);
        if (isLast) end(() => sink.complete());
      } catch (cause) {
        end(() => sink.error(cause)); // the fault is the caller's
      }
    };

    const isNew = ({ sequence, type }: { sequence?: number; type?: string }): boolean => {
      if (!sequence || !type) throw new FollowError('REFUSED', 'Select `sequence` and `type` of sagaEvents.');
      if (sequence > after! + 1) lose(new TypeError('An event is missing.'), () => {});
      if (isDone || sequence <= after!) return false;
      after = sequence;
      return true;
    };

    const complete = (): void => {
      // A saga's events end with a terminal one; if there is none, the cursor was at it from the beginning.
      const isWhole = isLog ? after! > 0 && after === from : !isCut;
      if (!isWhole) lose(undefined, () => {});
      else if (!isDone) end(() => sink.complete());
    };

    leave = client.subscribe(
      { ...request, variables },
      { next, complete, error: (cause: unknown) => lose(cause, () => sink.error(cause)) },
    );
    if (isDone) leave();
  };

  attempt();
  return () => {
    isOver = true;
    stop();
  };
}
