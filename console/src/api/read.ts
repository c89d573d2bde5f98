import type { AnyVariables, TypedDocumentNode } from '@urql/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import { client, type Trouble, troubleOf } from './client';
import { useOnReconnect } from './connection';
import { token } from './token';

/** What a query came to. `data` stays while it is asked anew, and where that fails. */
export interface Read<Data> {
  readonly data: Data | null;
  readonly trouble: Trouble | null;
  readonly isReading: boolean;
  again(): void;
}

/** Ask the server once, past every cache; again if the token changed meanwhile, as the answer depends on the caller. */
export async function read<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<{ data: Data; trouble?: never } | { data?: never; trouble: Trouble }> {
  const askedWith = token.get();
  const { data, error } = await client.query(document, variables, { requestPolicy: 'network-only' }).toPromise();
  if (token.get() !== askedWith) return read(document, variables);
  if (error) return { trouble: troubleOf(error) };
  return data === undefined ? { trouble: NOTHING } : { data };
}

const NOTHING: Trouble = { code: 'INTERNAL', message: 'The server gave no answer.', logId: null };

/**
 * Ask the server whenever the variables change, after each interruption, and `everyMs` after each answer while the
 * page is seen. `variables` may read the clock: it is called for each asking.
 */
export function useRead<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  key: string | null,
  variables: () => Variables,
  everyMs?: number,
): Read<Data> {
  const [state, setState] = useState<Omit<Read<Data>, 'again'>>({ data: null, trouble: null, isReading: true });
  const [turn, setTurn] = useState(0);
  const latest = useRef(variables);
  useEffect(() => {
    latest.current = variables;
  });
  const again = useCallback(() => setTurn((before) => before + 1), []);
  useOnReconnect(again);
  useEffect(() => {
    if (key === null) return undefined;
    let isWanted = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    setState((before) => ({ ...before, isReading: true }));
    void read(document, latest.current()).then(({ data, trouble }) => {
      if (!isWanted) return;
      setState((before) => ({ data: data ?? before.data, trouble: trouble ?? null, isReading: false }));
      if (everyMs !== undefined) timer = setTimeout(() => whenSeen(again), everyMs);
    });
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [document, key, turn, again, everyMs]);
  return { ...state, again };
}

/** Now, or once the page is looked at again. */
export function whenSeen(then: () => void): void {
  if (!document.hidden) then();
  else document.addEventListener('visibilitychange', then, { once: true });
}
