// #region resuming
interface Request {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

interface Subscriber {
  subscribe(request: Request, sink: any): () => void;
}

/**
 * A graphql-ws or graphql-sse client whose lost subscriptions to sagaEvents go on after the last event.
 *
 * Both libraries connect again by themselves and send the same request again, so that what came before would come
 * twice. But they write it as JSON anew each time, and that is when the getter is read.
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

/** The wait before the next attempt to connect: half a second, twice as long each time, half a minute at most. */
export function backoff(retries: number): Promise<void> {
  const milliseconds = Math.min(500 * 2 ** retries, 30_000) * (0.5 + Math.random() / 2);
  return new Promise((again) => setTimeout(again, milliseconds));
}
// #endregion
