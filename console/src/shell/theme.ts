import { createStore, useStore } from '../api/store';

/** What the reader chose; `system` follows prefers-color-scheme. theme-first.js applies it before anything is drawn. */
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'seatsaga.theme';
const NEXT: Record<Theme, Theme> = { system: 'dark', dark: 'light', light: 'system' };
const theme = createStore<Theme>(kept());

export function useTheme(): Theme {
  return useStore(theme);
}

/** System, then dark, then light, then system again. */
export function nextTheme(): void {
  const chosen = NEXT[theme.get()];
  if (chosen === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    if (chosen === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // Storage may be closed to us; then the choice is kept for as long as the page.
  }
  theme.set(chosen);
}

function kept(): Theme {
  const applied = document.documentElement.dataset.theme;
  return applied === 'light' || applied === 'dark' ? applied : 'system';
}
