import { judge } from './causes.js';
import type { Source } from './protocol.js';
import { iterate, resume, type ResumeOptions } from './resume.js';
import { sse, type StreamOptions } from './sse.js';

/** What every event of a saga has; `fields` asks for more. */
export interface SagaEvent {
  /** 1, 2, 3, ... within one saga. */
  readonly sequence: number;
  readonly type: string;
  readonly step: string | null;
  readonly compensation: string | null;
  readonly message: string;
  readonly at: string;
}

export interface FollowOptions extends Partial<StreamOptions>, ResumeOptions {
  readonly correlationId: string;
  /** The sequence of the last event that you have; 0 means from the first on. */
  readonly after?: number | undefined;
  /** `sse` (the default, which needs `url`), or a client: a socket of `@seatsaga/follow/ws`, graphql-ws, graphql-sse. */
  readonly transport?: 'sse' | Source | undefined;
  /** Fields of SagaEvent besides those of the type above, as GraphQL: `failure { code }`. */
  readonly fields?: string | undefined;
  /** Stops without an error. */
  readonly signal?: AbortSignal | undefined;
}

/** The document that `follow` sends, for a list of trusted documents. */
export function sagaEventsDocument(fields = ''): string {
  return `subscription Follow($correlationId: UUID!, $after: Int!) { \
sagaEvents(correlationId: $correlationId, after: $after) { sequence type step compensation message at ${fields} } }`;
}

/**
 * Yields every event of a saga once, in order, and ends after the terminal event: never before, whatever happens to
 * the connection. Throws a FollowError if it cannot go on; its `code` says why.
 */
export async function* follow<Event extends SagaEvent = SagaEvent>(options: FollowOptions): AsyncGenerator<Event, void, void> {
  const { url = '/graphql', correlationId, after = 0, transport = 'sse', fields, signal } = options;
  const { pruned, backoffMs, onStatus } = options;
  const given = Object.entries({ pruned, backoffMs, onStatus }).filter(([, value]) => value !== undefined);
  const client = resume(transport === 'sse' ? sse({ ...options, url }) : transport, Object.fromEntries(given));
  const results = iterate(client, { query: sagaEventsDocument(fields), variables: { correlationId, after } }, signal);
  try {
    for await (const { data, errors } of results) {
      if (!data) throw errors;
      yield data.sagaEvents;
    }
  } catch (cause) {
    throw judge(cause).error;
  }
}
