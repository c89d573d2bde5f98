import { stringifyDocument } from '@urql/core';
import { at } from '../base-path';
import { connection } from './connection';
import type { ViewerQuery } from './generated/graphql';
import { read } from './read';
import { createStore, useStore } from './store';
import { token } from './token';
import { Viewer } from './viewer.graphql';

/** Who looks at the page, as the server tells by the token. */
export type Caller = ViewerQuery['viewer'];
/** The rights that the console asks for. */
export type Scope = 'sagas:read' | 'sagas:mend' | 'jobs:write' | 'provider:write';

/** Null while the server has not said. */
const caller = createStore<Caller | null>(null);

token.subscribe(() => {
  caller.set(null);
  void learn();
});
connection.subscribe(() => {
  if (connection.get().status === 'live' && caller.get() === null) void learn();
});
void learn();

export function useViewer(): Caller | null {
  return useStore(caller);
}

/** Whether the viewer has one of these scopes; false while that is not known. */
export function useMay(...scopes: readonly Scope[]): boolean {
  return may(useViewer(), scopes);
}

export function may(viewer: Caller | null, scopes: readonly Scope[]): boolean {
  return scopes.some((scope) => viewer?.scopes.includes(scope));
}

/** What the server says of the bearer of another token: no caller where it does not take it; null if unreachable. */
export async function callerOf(value: string): Promise<{ caller: Caller | null } | null> {
  try {
    const response = await fetch(at('/graphql'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${value}` },
      body: JSON.stringify({ query: stringifyDocument(Viewer) }),
    });
    const said = response.ok ? ((await response.json()) as { data?: ViewerQuery | null }) : null;
    return { caller: said?.data?.viewer ?? null };
  } catch {
    return null;
  }
}

async function learn(): Promise<void> {
  const { data } = await read(Viewer, {});
  if (data) caller.set(data.viewer);
}
