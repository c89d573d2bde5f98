import { readFileSync } from 'node:fs';
import { book } from './bookings.js';
import { fail, story } from './story.js';

/** Compressed JavaScript that a view may load until it is drawn. */
const BYTES_MAX = 150_000;

story('every view fits a phone, and is for everyone in both themes', walk, { width: 390, height: 844, isTouch: true });

story('every view fits a small laptop, and is for everyone in both themes', walk, { width: 1366, height: 657 });

story('every view fits a screen, and is for everyone in both themes', walk, { width: 1440, height: 900 });

story('no view needs more than 150 kB of compressed JavaScript', async ({ page, open, query, becomeOperator }) => {
  await becomeOperator();
  for (const address of addresses(await book(query))) {
    await open(address);
    await page.waitForLoadState('networkidle');
    const bytes = await page.evaluate(() => {
      const resources = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByType('resource'));
      const scripts = resources.filter(({ name }) => name.endsWith('.js'));
      return scripts.reduce((sum, { encodedBodySize, decodedBodySize }) => {
        // A file that is sent as it is would count for more than it need.
        if (decodedBodySize > 1_024 && encodedBodySize === decodedBodySize) return Number.NaN;
        return sum + encodedBodySize;
      }, 0);
    });
    if (!(bytes > 0 && bytes <= BYTES_MAX)) fail(`${address} loads ${bytes} bytes of JavaScript.`);
  }
});

/** @param {import('./story.js').Stage} stage */
async function walk({ page, open, query, becomeOperator, expectAccessible }) {
  await book(query);
  const failing = { failAt: ['CONFIRM_BOOKING'], failCompensationAt: ['REFUND_LOYALTY_POINTS'] };
  const id = await book(query, { points: 1_000, simulate: failing });
  await becomeOperator();
  const wrong = [];
  for (const address of addresses(id)) {
    await open(address);
    await page.waitForLoadState('networkidle');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) wrong.push(`${address} is ${overflow} pixels too wide.`);
    await page.emulateMedia({ colorScheme: 'light' });
    await expectAccessible().catch(({ message }) => wrong.push(`${address}, light: ${message}`));
    // All else is the same.
    await page.emulateMedia({ colorScheme: 'dark' });
    await expectAccessible('color-contrast').catch(({ message }) => wrong.push(`${address}, dark: ${message}`));
  }
  if (wrong.length > 0) fail(wrong.join('\n'));
}

/**
 * An address of every view, as src/routes.tsx has them, and one that is none.
 *
 * @param {string} id - A saga's.
 */
function addresses(id) {
  const source = readFileSync(new URL('../src/routes.tsx', import.meta.url), 'utf8');
  const paths = [...source.matchAll(/<Route path="([^"]+)"/g)].map(([, path = '']) => path);
  if (paths.length < 5) fail(`Only ${paths} were found.`);
  return [...paths.map((path) => path.replace(/:id\??/, id)), '/saga/test', '/saga/no/such/page'];
}
