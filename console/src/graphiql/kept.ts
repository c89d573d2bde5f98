import { BASE_PATH } from '../base-path';
import { isExample } from './examples';
import { strip } from './headers-stripped';

/** Where GraphiQL keeps its tabs in this browser. Two servers beneath one host have tabs of their own. */
const TABS = 'graphiql:tabState';

/** `localStorage` for GraphiQL: it keeps tabs and history, and no header. */
export const storage = {
  getItem: (key: string) => tried(() => localStorage.getItem(BASE_PATH + key)),
  setItem: (key: string, value: string) => {
    const kept = strip(key, value);
    if (kept !== null) localStorage.setItem(BASE_PATH + key, kept);
  },
  removeItem: (key: string) => void tried(() => localStorage.removeItem(BASE_PATH + key)),
  clear: () => void tried(() => localStorage.clear()),
  get length() {
    return tried(() => localStorage.length) ?? 0;
  },
};

/** Tabs that are nothing but our examples give way to new ones, whose flight and correlation IDs are of today. */
export function forgetUntouchedExamples(): void {
  try {
    const { tabs } = JSON.parse(storage.getItem(TABS) ?? '') as { tabs: { query: string | null }[] };
    if (!tabs.every((tab) => isExample(tab.query))) return;
  } catch {
    // Nothing is kept, or nothing of use.
  }
  for (const name of ['tabState', 'query', 'variables']) storage.removeItem(`graphiql:${name}`);
}

/** Whether tabs of the reader's own will be shown. */
export function hasKeptTabs(): boolean {
  return storage.getItem(TABS) !== null;
}

/** Null where storage is closed to us; then nothing was kept. */
function tried<Value>(what: () => Value): Value | null {
  try {
    return what();
  } catch {
    return null;
  }
}
