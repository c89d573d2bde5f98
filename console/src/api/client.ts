import { Client, type CombinedError, cacheExchange, fetchExchange } from '@urql/core';
import { at } from '../base-path';
import { learnServerTime } from './clock';
import { bearer, token } from './token';

/** Queries and mutations. Subscriptions go through `subscribe` of socket.ts and the hooks upon it. */
export const client = new Client({
  url: at('/graphql'),
  preferGetMethod: false,
  // Show cached data first, but always read again, as the caller may have changed.
  requestPolicy: 'cache-and-network',
  fetch: fetchAsCaller,
  exchanges: [cacheExchange, fetchExchange],
});

/**
 * `fetch` with the operator's token, where there is one; learns the server's time from every answer.
 *
 * A request that was refused for a token which has been replaced meanwhile was not executed: it is sent again.
 */
export async function fetchAsCaller(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const sentAt = Date.now();
  const sentWith = token.get();
  const response = await fetch(input, { ...init, headers: { ...bearer(), ...(init.headers as object) } });
  learnServerTime(response, sentAt);
  return response.status === 401 && token.get() !== sentWith ? fetchAsCaller(input, init) : response;
}

/** What a person is told of an error of the API: what it means, its code, and the id under which the log knows it. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
  readonly logId: string | null;
}

export function troubleOf(error: CombinedError): Trouble {
  if (error.networkError && error.graphQLErrors.length === 0) {
    return { code: 'UNREACHABLE', message: 'The server could not be reached.', logId: null };
  }
  const [first] = error.graphQLErrors;
  const code = String(first?.extensions.code ?? 'INTERNAL');
  const message = first?.message ?? error.message;
  const logId = code === 'INTERNAL' ? (/[0-9a-f]{8}-[0-9a-f-]{27}/.exec(message)?.[0] ?? null) : null;
  return { code, message, logId };
}
