/** By so much a try that is due may come later, as everybody's clock is a little wrong. */
const LATE_MS_MAX = 2_000;

/** When a try comes: later, about now, or once there is a place for it: it is due, and waits for others. */
export type Due = 'later' | 'now' | 'in line';

/** `at`: when it is due; null where only a place is waited for. */
export function dueAt(at: string | null, now: number): Due {
  if (at === null) return 'in line';
  const left = Date.parse(at) - now;
  if (left > 0) return 'later';
  return left > -LATE_MS_MAX ? 'now' : 'in line';
}
