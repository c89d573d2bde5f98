import { at, BASE_PATH } from '../base-path';
import { createStore, useStore } from './store';

/** Two servers beneath one host have tokens of their own. */
const KEY = `seatsaga.token${BASE_PATH}`;

/** The operator's bearer token: kept for this tab only, gone with it. */
export const token = createStore<string | null>(kept());

token.subscribe(() => {
  try {
    const value = token.get();
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {
    // Storage may be closed to us; then the token is kept for as long as the page.
  }
});

export function useToken(): string | null {
  return useStore(token);
}

/** What a request bears; empty where there is no token. */
export function bearer(): Record<string, string> {
  const value = token.get();
  return value === null ? {} : { authorization: `Bearer ${value}` };
}

/** Whether the server takes this token at all; null where it could not be reached. */
export async function isValid(value: string): Promise<boolean | null> {
  try {
    const headers = { accept: 'application/json', authorization: `Bearer ${value}` };
    const { ok } = await fetch(at('/graphql?query={__typename}'), { headers });
    return ok;
  } catch {
    return null;
  }
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}
