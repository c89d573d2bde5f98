// Two views of one flight and of one saga, with different fields: what each cache still knows of the first one.
import { ApolloClient, gql, HttpLink, InMemoryCache, type InMemoryCacheConfig } from '@apollo/client';
import { Client, fetchExchange } from '@urql/core';
import { cacheExchange, type CacheExchangeOpts } from '@urql/exchange-graphcache';
import { possibleTypes, typePolicies } from './cache/apollo-type-policies.js';
import { keys } from './cache/graphcache.js';

const { SEATSAGA_URL: url, SEATSAGA_TOKEN: token, SEATSAGA_IT: it } = process.env;
const headers = { authorization: `Bearer ${token}` };
const first = gql`
  query First($it: UUID!) {
    flights(first: 2) {
      edges {
        cursor
        node {
          id
          origin { code name city }
          fares { cabinClass price { amount currency } seatsAvailable miles }
        }
      }
      pageInfo { hasNextPage }
    }
    saga(correlationId: $it) {
      id
      passengers { givenName familyName }
      flights { id }
      queue { pending completed }
      booking { id total { amount currency } segments { cabinClass flight { id } seats { seat { id number } } } }
    }
    viewer { role subject }
  }
`;
const second = gql`
  query Second($it: UUID!) {
    flights(first: 2) {
      edges { node { id number origin { timeZone } fares { cabinClass seatsAvailable price { amount } } } }
      pageInfo { endCursor }
      totalCount
    }
    saga(correlationId: $it) {
      id
      status
      passengers { dateOfBirth }
      queue { failed }
      booking { id total { amount } segments { seats { passenger { familyName } } } }
    }
    viewer { scopes }
  }
`;
const variables = { it };
const warnings: string[] = [];
for (const kind of ['warn', 'error'] as const) {
  console[kind] = (...words: unknown[]) => void warnings.push(words.join(' '));
}

async function apollo(config?: InMemoryCacheConfig): Promise<boolean> {
  const cache = new InMemoryCache(config);
  const client = new ApolloClient({ link: new HttpLink({ uri: url!, headers }), cache });
  const { data } = await client.query<object>({ query: first, variables });
  await client.query({ query: second, variables });
  const kept = cache.readQuery<object>({ query: first, variables });
  return kept !== null && JSON.stringify(kept) === JSON.stringify(data);
}

async function urql(config: Partial<CacheExchangeOpts>): Promise<boolean> {
  const client = new Client({
    url: url!,
    fetchOptions: { headers },
    preferGetMethod: false,
    exchanges: [cacheExchange(config), fetchExchange],
  });
  const { data } = await client.query(first, variables).toPromise();
  await client.query(second, variables).toPromise();
  const kept = await client.query(first, variables, { requestPolicy: 'cache-only' }).toPromise();
  return data !== undefined && JSON.stringify(kept.data) === JSON.stringify(data);
}

async function told(keeps: Promise<boolean>): Promise<{ keeps: boolean; warnings: string[] }> {
  warnings.length = 0;
  return { keeps: await keeps, warnings: [...warnings] };
}

const answer = {
  apollo: await told(apollo({ typePolicies, possibleTypes })),
  urql: await told(urql({ keys, possibleTypes })),
  'apollo without policies': await told(apollo()),
  'urql without keys': await told(urql({})),
};
process.stdout.write(`${JSON.stringify(answer)}\n`);
process.exit(0);
