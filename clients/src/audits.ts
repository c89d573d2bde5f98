/** Runs all audits of graphql-http against the server at SEATSAGA_URL. Prints each failure; exits with 1 after one. */

import { serverAudits } from 'graphql-http';
import { bearer, server } from './server.js';

const AUDITS = 61;

const audits = serverAudits({
  url: `${server}/graphql`,
  fetchFn: async (url: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(await bearer())) headers.set(name, value);
    return fetch(url, { ...init, headers });
  },
});
let ok = 0;
for (const audit of audits) {
  const result = await audit.fn();
  if (result.status === 'ok') ok += 1;
  else console.error(`${result.status} ${result.id} ${result.name}: ${result.reason}\n${await told(result.response)}`);
}
console.log(`${ok} of ${audits.length} audits ok`);
if (ok < AUDITS || ok < audits.length) process.exitCode = 1;

async function told(response: Response): Promise<string> {
  const body = response.bodyUsed ? '' : await response.text();
  return `  ${response.status} ${response.headers.get('content-type')} ${body}`;
}
