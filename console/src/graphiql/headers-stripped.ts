/** What GraphiQL keeps beyond the tab holds no header: a header may be an operator's token. */

const PREFIX = 'graphiql:';
const HEADERS: ReadonlySet<string> = new Set(['headers', 'shouldPersistHeaders'].map((name) => PREFIX + name));
const WITH_HEADERS: ReadonlySet<string> = new Set(['tabState', 'queries', 'favorites'].map((name) => PREFIX + name));

/** An entry of GraphiQL's without headers, of which a tab's hash is made, too; null: not to be kept at all. */
export function strip(key: string, value: string): string | null {
  if (HEADERS.has(key)) return null;
  if (!WITH_HEADERS.has(key)) return value;
  try {
    return JSON.stringify(JSON.parse(value), (name, part) => (name === 'headers' || name === 'hash' ? null : part));
  } catch {
    return null;
  }
}

/** Earlier releases let GraphiQL keep headers: remove them, whichever page of ours one comes back to. */
export function forgetKeptHeaders(): void {
  try {
    for (const key of [...HEADERS, ...WITH_HEADERS]) {
      const value = localStorage.getItem(key);
      const kept = value === null ? null : strip(key, value);
      if (kept === null) localStorage.removeItem(key);
      else if (kept !== value) localStorage.setItem(key, kept);
    }
  } catch {
    // Storage may be closed to us; then nothing was kept.
  }
}
