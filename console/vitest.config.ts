import { defineConfig } from 'vitest/config';

/** The console's logic, without a browser; tests/browser has the stories that need one. */
export default defineConfig({ test: { include: ['tests/*.test.{ts,tsx}'] } });
