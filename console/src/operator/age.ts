import { duration } from '../pieces/format';

/** 8 s, 26 min: an age in whole units, updated each second. */
export function age(since: string, now: number): string {
  const milliseconds = Math.max(0, now - Date.parse(since));
  return milliseconds < 90_000 ? `${Math.floor(milliseconds / 1_000)} s` : duration(milliseconds);
}
