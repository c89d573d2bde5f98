import { createGraphiQLFetcher, type Fetcher, type Observable } from '@graphiql/toolkit';
import { type ExecutionResult, getOperationAST } from 'graphql';
import { bearer } from '../api/token';
import { at } from '../base-path';
import { isUnseen, subscribe } from './subscriptions';

const overHttp = createGraphiQLFetcher({
  url: at('/graphql'),
  // No answer comes in parts.
  enableIncrementalDelivery: false,
});

/** Over HTTP, and subscriptions over WebSocket; each with the token of this browser tab and the headers of GraphiQL's. */
export const fetcher: Fetcher = (request, { headers: given, documentAST } = {}) => {
  const headers = withToken(given ?? {});
  const { query, variables, operationName } = request;
  const isSubscription =
    isUnseen() || (documentAST && getOperationAST(documentAST, operationName)?.operation === 'subscription');
  if (!isSubscription) return overHttp(request, { headers });
  const subscription = subscribe({ query, variables, operationName: operationName ?? null }, headers);
  // GraphiQL calls it in one of the ways that an observable allows.
  return subscription as Observable<ExecutionResult>;
};

/** A header that is written by hand counts more. */
function withToken(given: Record<string, string>): Record<string, string> {
  const isGiven = Object.keys(given).some((name) => name.toLowerCase() === 'authorization');
  return isGiven ? given : { ...bearer(), ...given };
}
