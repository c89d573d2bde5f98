const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
/** A timer of more milliseconds than 31 bits hold goes off at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The wait before the next attempt: up to half a second, doubled each time, at most half a minute; at random. */
export function backoffMs(retries: number): number {
  return Math.min(RETRY_MS_MIN * 2 ** retries, RETRY_MS_MAX) * (0.5 + Math.random() / 2);
}

/** Calls `then` after a time, or at once when the browser has a network again. Returns how to cancel. */
export function after(ms: number, then: () => void, untilOnline: boolean): () => void {
  const go = (): void => {
    cancel();
    then();
  };
  const timer = setTimeout(go, Math.min(ms, TIMER_MS_MAX));
  if (untilOnline) globalThis.addEventListener?.('online', go);
  const cancel = (): void => {
    clearTimeout(timer);
    globalThis.removeEventListener?.('online', go);
  };
  return cancel;
}
