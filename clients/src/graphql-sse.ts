/** graphql-sse, in its distinct connections mode. */

// #region client
import { type Headers, resume, type Settings, watched } from '@seatsaga/follow';
import { type Client, createClient } from 'graphql-sse';
import { fetch } from './clock.js';

export function connect(url: string, bearer: Headers, settings: Settings = {}): Client {
  const client = createClient({
    url,
    headers: bearer, // called at each connect
    fetchFn: watched(fetch, settings.silenceMs),
    retryAttempts: 0, // `resume` tries again
  });
  return resume(client, settings);
}
// #endregion
