// #region resuming
interface Request {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

interface Subscriber {
  subscribe(request: Request, sink: any): () => void;
}

/**
 * Returns a graphql-ws or graphql-sse client that resumes subscriptions to sagaEvents after the last event.
 *
 * Both libraries reconnect by themselves and send the same request again, so the earlier events would come twice.
 * They serialize the request anew each time, and so read the getter again.
 */
export function resuming<Client extends Subscriber>(client: Client): Client {
  const subscribe: Subscriber['subscribe'] = (request, sink) => {
    let after = request.variables?.['after'];
    if (typeof after !== 'number') return client.subscribe(request, sink);
    const variables = {
      ...request.variables,
      get after() {
        return after;
      },
    };
    const next = (result: { data?: { sagaEvents?: { sequence: number } } | null }): void => {
      after = result.data?.sagaEvents?.sequence ?? after;
      sink.next(result);
    };
    return client.subscribe({ ...request, variables }, { ...sink, next });
  };
  return { ...client, subscribe };
}

/** Waits before the next attempt to connect: about half a second, doubled each time, at most half a minute. */
export function backoff(retries: number): Promise<void> {
  const milliseconds = Math.min(500 * 2 ** retries, 30_000) * (0.5 + Math.random() / 2);
  return new Promise((again) => setTimeout(again, milliseconds));
}
// #endregion
