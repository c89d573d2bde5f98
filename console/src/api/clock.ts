import { useEffect, useState } from 'react';
import { createStore, useStore } from './store';

/** A Date header has whole seconds, and servers renew it once a second. */
const DATE_LATE_MS_MAX = 2_000;

/** What is known of by how much the server's clock is ahead of ours, in milliseconds. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
}

let bounds: Bounds = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
let offsetMs = 0;
const ticks = createStore(Date.now());
let timer: ReturnType<typeof setInterval> | undefined;
let watchers = 0;

/** Learn how the server's clock differs from ours, from an answer that was asked for at `sentAt`. */
export function learnServerTime(response: Response, sentAt: number): void {
  const said = Date.parse(response.headers.get('date') ?? '');
  if (!Number.isNaN(said)) learn({ low: said - Date.now(), high: said + DATE_LATE_MS_MAX - sentAt });
}

/** Learn from an instant of the server's that has come to us: it is past there. One that comes live tells most. */
export function learnServerInstant(at: string): void {
  learn({ low: Date.parse(at) - Date.now(), high: Number.POSITIVE_INFINITY });
}

function learn(sample: Bounds): void {
  bounds = narrowed(bounds, sample);
  offsetMs = offsetWithin(bounds);
}

/** What both leave possible; where that is nothing, a clock was set, and the newer counts. */
export function narrowed(before: Bounds, sample: Bounds): Bounds {
  const low = Math.max(before.low, sample.low);
  const high = Math.min(before.high, sample.high);
  return low <= high ? { low, high } : sample;
}

/** None, as long as that is possible; else the lower bound, which live instants bring near. */
export function offsetWithin({ low, high }: Bounds): number {
  return low <= 0 && high >= 0 ? 0 : low;
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
