import type { TypedDocumentNode } from '@urql/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import { type SubscriptionError, socketNumber, subscribe } from './socket';
import { useStore } from './store';

/** How a subscription stands. `isOver`: the server has said all there is. */
export interface LiveState {
  readonly error: SubscriptionError | null;
  readonly isOver: boolean;
}

const GOING: LiveState = { error: null, isOver: false };

/**
 * Subscribe for as long as the component is there; `null` for variables: not now.
 *
 * Goes on by itself after a lost connection and after a change of the token. `variables` may be another object each
 * time, of which only what it says counts. `onData` may differ each time; the newest is called. `onBegin` is called
 * before the first data of each set of variables.
 */
export function useLive<Data, Variables extends object>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables | null,
  onData: (data: Data) => void,
  onBegin?: () => void,
): LiveState {
  const socket = useStore(socketNumber);
  const key = useMemo(() => (variables === null ? null : JSON.stringify(variables)), [variables]);
  const [state, setState] = useState(GOING);
  const latest = useRef({ variables, onData, onBegin });
  useEffect(() => {
    latest.current = { variables, onData, onBegin };
  });
  useEffect(() => {
    const current = latest.current.variables;
    setState(GOING);
    if (key === null || current === null) return undefined;
    latest.current.onBegin?.();
    return subscribe(document, current, {
      next: (data) => latest.current.onData(data),
      error: (error) => setState({ error, isOver: true }),
      complete: () => setState((before) => ({ ...before, isOver: true })),
    });
  }, [document, key, socket]);
  return state;
}
