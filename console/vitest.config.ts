import { defineConfig } from 'vitest/config';
import { runbooks } from './runbooks.ts';

/** The console's logic, without a browser; tests/browser has the stories that need one. */
export default defineConfig({ plugins: [runbooks()], test: { include: ['tests/*.test.{ts,tsx}'] } });
