/**
 * Apollo's and urql's own links for persisted queries, against a server whose SEATSAGA_PERSISTED_QUERIES is
 * SEATSAGA_SETTING. Each asks for the airports three times; the requests show what the link made of the answers.
 */

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { parse, type DocumentNode } from 'graphql';
import { bearer, server } from './server.js';

const url = `${server}/graphql`;
const headers = await bearer();
const setting = process.env['SEATSAGA_SETTING'] ?? 'off';
const AIRPORTS = 'query Airports { airports { code } }';

/** What was sent, in order: the method, and whether with the hash or the text. */
const sent: string[] = [];

async function seen(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const given = init.method === 'POST' ? String(init.body) : decodeURIComponent(new URL(String(input)).search);
  const parts = [given.includes('sha256Hash') && 'hash', /\bquery\b["=:]+\s*"?(query|\s*\{)/.test(given) && 'text'];
  sent.push([init.method ?? 'GET', ...parts.filter(Boolean)].join(' '));
  return fetch(input, { ...init, headers: { ...init.headers, ...headers } });
}

function apollo(useGETForHashedQueries: boolean): (document: DocumentNode) => Promise<unknown> {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const client = new ApolloClient({
    link: ApolloLink.from([
      new PersistedQueryLink({ sha256, useGETForHashedQueries }),
      new HttpLink({ uri: url, fetch: seen }),
    ]),
    cache: new InMemoryCache(),
  });
  return async (query) => (await client.query({ query, fetchPolicy: 'no-cache' })).data;
}

function urql(preferGetForPersistedQueries: boolean): (document: DocumentNode) => Promise<unknown> {
  const client = new Client({
    url,
    fetch: seen,
    preferGetMethod: false,
    exchanges: [persistedExchange({ preferGetForPersistedQueries }), fetchExchange],
  });
  return async (query) => {
    const { data, error } = await client.query(query, {}, { requestPolicy: 'network-only' }).toPromise();
    if (error) throw error;
    return data;
  };
}

/** The requests of three questions, by the setting and the method that the link prefers for hashes. */
const expected = (method: string, again: string): string[] =>
  setting === 'off'
    ? [`${method} hash`, again.replace(' hash', ''), 'POST text', 'POST text']
    : [`${method} hash`, again, `${method} hash`, `${method} hash`];

const links = {
  'apollo by POST': [apollo(false), expected('POST', 'POST hash text')],
  'apollo by GET': [apollo(true), expected('GET', 'POST hash text')],
  'urql by POST': [urql(false), expected('POST', 'POST hash text')],
  'urql by GET': [urql(true), expected('GET', 'GET hash text')],
} as const;

for (const [number, [name, [ask, wanted]]] of Object.entries(links).entries()) {
  // Each asks in words of its own, so that no other has taught the server the hash.
  const document = parse(setting === 'only' ? AIRPORTS : AIRPORTS.replace('Airports', `Airports${number}`));
  for (const _ of [1, 2, 3]) assert.ok(await ask(document), name);
  console.log(`${name}: ${sent.join(', ')}`);
  if (setting !== 'only') assert.deepEqual(sent, wanted, name);
  else assert.deepEqual(sent.slice(-2), wanted.slice(-2), name);
  if (setting === 'only') await assert.rejects(ask(parse('query Other { airports { city } }')), /trusted documents only/);
  sent.length = 0;
}
