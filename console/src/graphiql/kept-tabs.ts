import { isExample } from './examples';

/** Where GraphiQL keeps its tabs in this browser. */
const KEY = 'graphiql:tabState';

/** Tabs that are nothing but our examples give way to new ones, whose flight and correlation IDs are of today. */
export function forgetUntouchedExamples(): void {
  try {
    const { tabs } = JSON.parse(localStorage.getItem(KEY) ?? '') as { tabs: { query: string | null }[] };
    if (!tabs.every((tab) => isExample(tab.query))) return;
  } catch {
    // Nothing is kept, or nothing of use.
  }
  forget();
}

/** Whether tabs of the reader's own will be shown. */
export function hasKeptTabs(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    return false;
  }
}

function forget(): void {
  try {
    for (const name of ['tabState', 'query', 'variables', 'headers']) localStorage.removeItem(`graphiql:${name}`);
  } catch {
    // Storage may be closed to us; then nothing was kept.
  }
}
