import { useSearchParams } from 'wouter';
import { serverNow } from '../../api/clock';

/** How far back the overview looks, and in stretches of how many seconds. */
export const WINDOWS = {
  '15m': { name: '15 min', seconds: 900, bucket: 60, per: 'minute', last: 'the last 15 minutes' },
  '1h': { name: '1 hour', seconds: 3_600, bucket: 300, per: '5 minutes', last: 'the last hour' },
  '24h': { name: '24 hours', seconds: 86_400, bucket: 3_600, per: 'hour', last: 'the last 24 hours' },
} as const;
export type Window = keyof typeof WINDOWS;
const DEFAULT: Window = '1h';

/** It is in the URL. */
export function useWindow(): [Window, (window: Window) => void] {
  const [params, setParams] = useSearchParams();
  const said = params.get('window') ?? '';
  const window = said in WINDOWS ? (said as Window) : DEFAULT;
  return [window, (chosen) => setParams(chosen === DEFAULT ? {} : { window: chosen }, { replace: true })];
}

/** Its beginning, put to the beginning of a stretch, so that the first one is a whole one. */
export function sinceOf(window: Window): string {
  const { seconds, bucket } = WINDOWS[window];
  const since = Math.floor(serverNow() / 1_000) - seconds;
  return new Date(Math.ceil(since / bucket) * bucket * 1_000).toISOString();
}
