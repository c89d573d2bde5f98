import { useEffect, useRef } from 'react';
import { createStore, useStore } from './store';

/**
 * How the page is connected to the server. Instants are milliseconds by this machine's clock.
 *
 * - connecting: never connected yet
 * - live: connected
 * - lost: it was, or was to be, and is tried again at `retryAt` (null: being tried now)
 * - refused: the server does not take the token, or wants one; not tried again by itself
 */
export type Connection =
  | { readonly status: 'connecting' }
  | { readonly status: 'live'; readonly lostAt: number | null; readonly resumedAt: number | null }
  | { readonly status: 'lost'; readonly lostAt: number; readonly retryAt: number | null }
  | { readonly status: 'refused'; readonly reason: string };

export const connection = createStore<Connection>({ status: 'connecting' });

/** How old what arrives is, in milliseconds; null while it is live. */
export const behindMs = createStore<number | null>(null);

/** How many events came in after the last interruption that had happened during it. */
export const cameInMeanwhile = createStore(0);

export function useConnection(): Connection {
  return useStore(connection);
}

/** Whether the shown data is live; while it is not, actions are disabled with that reason. */
export function useIsLive(): boolean {
  return useConnection().status === 'live';
}

/** Calls `again` after each reconnection: for data that was queried and is not subscribed to. */
export function useOnReconnect(again: () => void): void {
  const current = useConnection();
  const resumedAt = current.status === 'live' ? current.resumedAt : null;
  const latest = useRef(again);
  useEffect(() => {
    latest.current = again;
  });
  const seen = useRef(resumedAt);
  useEffect(() => {
    if (resumedAt === null || resumedAt === seen.current) return;
    seen.current = resumedAt;
    latest.current();
  }, [resumedAt]);
}
