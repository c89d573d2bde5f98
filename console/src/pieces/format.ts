/** As the API gives it: major units as a decimal string, and the ISO 4217 code. */
export interface Money {
  readonly amount: string;
  readonly currency: string;
}

/** A thin space groups thousands where numbers are read; figures stay of one width. */
const GROUP = '\u2009';
const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 10 000, with thin grouping. */
export function count(value: number): string {
  return grouped.format(value).replaceAll(',', GROUP);
}

/** 1 284.00 USD: the API's own decimals, with the currency. */
export function money({ amount, currency }: Money): string {
  const [whole = '0', decimals] = amount.split('.');
  const sign = whole.startsWith('-') ? '-' : '';
  const digits = whole.replace('-', '').replace(/\B(?=(\d{3})+$)/g, GROUP);
  return `${sign}${digits}${decimals === undefined ? '' : `.${decimals}`} ${currency}`;
}

/** 12 ms, 0.31 s, 26 s, 4 min, 2 h, 3 d; what took no time that was measured, under 1 ms. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 1) return 'under 1 ms';
  if (ms < 20) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 90_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 90 * 60_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 48 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** The milliseconds between two instants of the API; to `now` while there is no second. */
export function between(from: string, to: string | null, now: number): number {
  return (to === null ? now : Date.parse(to)) - Date.parse(from);
}

/** 97.4 %, and 100 % only where all are. */
export function share(value: number): string {
  const percent = value * 100;
  if (percent === 0 || percent === 100) return `${percent} %`;
  return `${Math.min(99.9, Math.max(0.1, percent)).toFixed(1)} %`;
}

/** 04:31 or 1:04:31: the remaining time, never below zero. */
export function left(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1_000));
  const clock = [Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0')).join(':');
  return seconds < 3_600 ? clock : `${Math.floor(seconds / 3_600)}:${clock}`;
}

/** Times left at which a countdown is spoken, in seconds. */
const SPOKEN_AT_SECONDS = [600, 300, 120, 60, 30, 10, 0] as const;

/** What is said of a countdown that went from `before` to `now`, in milliseconds; null where it passed no mark. */
export function spokenLeft(before: number, now: number): string | null {
  const seconds = Math.ceil(now / 1_000);
  const passed = SPOKEN_AT_SECONDS.findLast((mark) => Math.ceil(before / 1_000) > mark && seconds <= mark);
  if (passed === undefined) return null;
  if (passed === 0) return 'the time is up';
  return passed < 60 ? `${passed} seconds left` : `${plural(passed / 60, 'minute')} left`;
}

/** "1 event", "4 events". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** What the API says of a step begins a sentence here. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
