import { tell } from './story.js';
import { book, sagas } from './urql.js';

// #region client
import { cacheExchange, Client, fetchExchange } from '@urql/core'; // with React: from 'urql'
import { SagaEvents, type SagaEvent } from './operations.js';
import { backoff } from './resuming.js';

export function connect(url: string, bearer: () => Promise<Record<string, string>>): Client {
  return new Client({
    url,
    fetch: async (input, init) => fetch(input, { ...init, headers: { ...init?.headers, ...(await bearer()) } }),
    fetchSubscriptions: true, // over Server-Sent Events; needs no socket and no other library
    exchanges: [cacheExchange, fetchExchange],
  });
}

/** Delivers every event of a saga once, from the first on; settles when the saga ends. */
export async function follow(
  client: Client,
  correlationId: string,
  onEvent: (event: SagaEvent) => void,
): Promise<void> {
  let after = 0;
  const untilLost = (): Promise<boolean> =>
    new Promise((resolve, reject) => {
      client.subscription(SagaEvents, { correlationId, after }).subscribe(({ data, error, hasNext }) => {
        if (error?.networkError) return resolve(true);
        if (error) return reject(error);
        if (!hasNext) return resolve(false); // repeats the last result
        if (!data) return;
        after = data.sagaEvents.sequence;
        onEvent(data.sagaEvents);
      });
    });
  // urql does not reconnect by itself.
  for (let lost = 0; await untilLost(); lost++) await backoff(lost);
}
// #endregion

await tell((url, _, bearer) => {
  const client = connect(url, bearer);
  return {
    book: (input) => book(client, input),
    follow: (correlationId, onEvent) => follow(client, correlationId, onEvent),
    sagas: (first) => sagas(client, first),
  };
});
