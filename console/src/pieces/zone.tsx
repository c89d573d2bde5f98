import { createStore, useStore } from '../api/store';

/** In which zone instants are shown; kept for this browser. */
export type Zone = 'local' | 'utc';

const KEY = 'seatsaga.zone';
const LOCAL = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = createStore<Zone>(kept());

export function useZone(): Zone {
  return useStore(zone);
}

/** The zone's IANA name, for Intl. */
export function timeZoneOf(chosen: Zone): string {
  return chosen === 'utc' ? 'UTC' : LOCAL;
}

/** Names the zone, once a page, and lets the reader take the other one. */
export function ZoneChoice() {
  const chosen = useZone();
  const other = chosen === 'utc' ? 'local' : 'utc';
  return (
    <span className="zone-choice">
      {chosen === 'utc' ? 'Times in UTC.' : `Times in your zone, ${LOCAL}.`}{' '}
      {LOCAL !== 'UTC' && (
        <button type="button" className="as-link" onClick={() => choose(other)}>
          {other === 'utc' ? 'Show UTC' : 'Show your zone'}
        </button>
      )}
    </span>
  );
}

function choose(chosen: Zone): void {
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // Storage may be closed to us; then the choice is kept for as long as the page.
  }
  zone.set(chosen);
}

function kept(): Zone {
  try {
    return localStorage.getItem(KEY) === 'utc' ? 'utc' : 'local';
  } catch {
    return 'local';
  }
}

/** What `<input type="datetime-local">` shows of an instant. */
export function inputOf(at: string, chosen: Zone): string {
  const instant = new Date(at);
  if (Number.isNaN(instant.getTime())) return '';
  const shift = chosen === 'utc' ? 0 : instant.getTimezoneOffset() * 60_000;
  return new Date(instant.getTime() - shift).toISOString().slice(0, 16);
}

/** The instant that was written into it; empty where there is none. */
export function instantIn(input: string, chosen: Zone): string {
  const instant = new Date(chosen === 'utc' ? `${input}Z` : input);
  return Number.isNaN(instant.getTime()) ? '' : instant.toISOString();
}
