import { useEffect, useState } from 'react';
import { createStore, useStore } from './store';

/** A Date header has whole seconds, so a smaller difference does not count. */
const PRECISION_MS = 1_500;

let offsetMs = 0;
const ticks = createStore(Date.now());
let timer: ReturnType<typeof setInterval> | undefined;
let watchers = 0;

/** Learn how the server's clock differs from ours, from an answer that was asked for at `sentAt`. */
export function learnServerTime(response: Response, sentAt: number): void {
  const said = Date.parse(response.headers.get('date') ?? '');
  if (Number.isNaN(said)) return;
  const differs = said + 500 - (sentAt + Date.now()) / 2;
  offsetMs = Math.abs(differs) < PRECISION_MS ? 0 : differs;
}

/** Milliseconds since the epoch, by the server's clock: what its instants are counted down against. */
export function serverNow(): number {
  return Date.now() + offsetMs;
}

/** `serverNow()`, anew once a second: for countdowns and "started 4 s ago". */
export function useNow(): number {
  return useStore(everySecond) + offsetMs;
}

const everySecond = {
  ...ticks,
  subscribe: (onChange: () => void) => {
    const unsubscribe = ticks.subscribe(onChange);
    if (watchers++ === 0) {
      ticks.set(Date.now());
      timer = setInterval(() => ticks.set(Date.now()), 1_000);
    }
    return () => {
      unsubscribe();
      if (--watchers === 0) clearInterval(timer);
    };
  },
};

/** Milliseconds until an instant of the server, below zero after it; anew whenever the seconds left are others. */
export function useLeft(until: string): number {
  const [left, setLeft] = useState(() => Date.parse(until) - serverNow());
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      const now = Date.parse(until) - serverNow();
      setLeft(now);
      if (now > 0) timer = setTimeout(look, now % 1_000 || 1_000);
    };
    look();
    return () => clearTimeout(timer);
  }, [until]);
  return left;
}
