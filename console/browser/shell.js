import { book } from './bookings.js';
import { fail, story } from './story.js';

const VIEWS = {
  '/saga/test': 'Test console',
  '/saga/test/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee': 'Test console',
  '/saga': 'Sagas',
  '/saga/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee': 'Saga',
  '/saga/scheduler': 'Scheduler',
  '/saga/file': 'Saved saga',
  '/saga/overview': 'Overview',
  '/saga/incidents': 'Incidents',
  '/saga/bulk': 'Bulk actions',
  '/saga/actions': 'Record of operator actions',
  '/saga/runbook': 'Runbooks',
};

story('every view is there at its own address', async ({ page, open, becomeOperator }) => {
  await becomeOperator();
  for (const [path, heading] of Object.entries(VIEWS)) {
    await open(path);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
  }
});

story('a runbook is shown at its anchor, also where the server does not answer any more', async (stage) => {
  const { page, open, server, expectErrors } = stage;
  await open('/saga/runbook#a-refund-failed');
  const section = page.getByRole('region', { name: 'A refund failed' });
  await section.waitFor();
  await page.waitForFunction(() => document.querySelector(':target')?.id === 'a-refund-failed');
  const { y = -1 } = (await section.boundingBox()) ?? {};
  if (y < 0 || y > 300) fail(`The section is not in sight: it begins at ${y}.`);

  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByRole('link', { name: 'SeatsagaProviderDown' }).first().click();
  await page.waitForFunction(() => document.querySelector(':target')?.id === 'seatsagaproviderdown');
  await server.start();
});

story('what is at no address says so', async ({ page, open, url }) => {
  await open('/saga/test');
  await page.goto(`${url}/saga/test/1/2/3`);
  await page.getByText('There is nothing at this address').waitFor();
});

story('the first load of a view is at most 150 kB of compressed scripts', async ({ page, open, becomeOperator }) => {
  await becomeOperator();
  for (const path of Object.keys(VIEWS)) {
    let bytes = 0;
    /** @param {import('playwright-core').Response} response */
    const add = (response) => {
      if (response.request().resourceType() === 'script') bytes += Number(response.headers()['content-length']);
    };
    page.on('response', add);
    await open(path);
    await page.getByText('Live', { exact: true }).waitFor();
    page.off('response', add);
    // Less than any of it could be: the files were not counted.
    if (bytes < 50_000 || bytes > 150_000) fail(`${path} brought ${bytes} bytes of scripts.`);
  }
});

story('the chosen theme is kept, and there before anything is drawn', async ({ page, open }) => {
  await open('/saga/test');
  const drawn = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await drawn();

  await page.getByRole('button', { name: 'Theme: system' }).click();
  const dark = await drawn();
  await page.reload({ waitUntil: 'commit' });
  await page.locator('body').waitFor();

  if (dark === light) fail('Dark looks as light does.');
  if ((await drawn()) !== dark) fail('The theme was forgotten.');
  await page.getByRole('button', { name: 'Theme: dark' }).waitFor();
});

story(
  'operator pages ask for the token, and keep it for the tab only',
  async ({ page, context, open, token, expectErrors }) => {
    await open('/saga/test');
    await page.getByRole('link', { name: 'Scheduler' }).click();
    expectErrors(/401/);
    const field = page.getByLabel('Token', { exact: true });

    await field.fill('a wrong one');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('The server does not take this token').waitFor();
    await field.fill(token);
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Scheduler' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Scheduler' }).waitFor();

    const other = await context.newPage();
    await other.goto(page.url());
    await other.getByLabel('Token', { exact: true }).waitFor();
  },
);

story('a token that the server no longer takes is asked for anew', async (stage) => {
  const { page, context, url, token, expectErrors } = stage;
  expectErrors(/401 \(Unauthorized\)/);
  await context.addInitScript(() => sessionStorage.setItem('seatsaga.token', 'an old one'));
  // What was asked with the old token is answered only once the page has the new one.
  let release = () => {};
  const isReplaced = new Promise((resolve) => {
    release = () => resolve(undefined);
  });
  await page.route('**/graphql', async (route) => {
    if (route.request().headers().authorization === 'Bearer an old one') await isReplaced;
    await route.continue();
  });
  await page.goto(`${url}/saga/test`);
  await page.getByText('No access').waitFor();
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByText('Live', { exact: true }).waitFor();
  release();
  await page.getByRole('heading', { name: 'Test console' }).waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
});

story(
  'after a change of page focus is in its content, and the way there is short by keyboard',
  async ({ page, open }) => {
    await open('/saga/test');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await isFocused(page, '#main');
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.waitForURL('**/saga/overview');
    await isFocused(page, '#main');
  },
);

story('a lost connection shows itself, and nothing is missed', async ({ page, open, query, server, expectErrors }) => {
  const id = await book(query, { simulate: { delayMs: 1_500 } });
  await open(`/saga/${id}`);
  await page.getByText('Step started').first().waitFor();

  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByText('Connection lost.').waitFor();
  await page.getByText(/^Reconnecting in \d+ s$/).waitFor();
  await server.start();
  await page.getByText('Connected again.').waitFor();
  await page.getByText('Live', { exact: true }).waitFor();

  await page.getByText('Saga completed').first().waitFor();
  const sequences = await page
    .locator('.history [data-sequence]')
    .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('data-sequence'))).toReversed());
  // More than ten, if the server stopped between a step's start and its call: the step is tried again.
  const { saga } = await query(`{ saga(correlationId: "${id}") { sequence } }`);
  const whole = Array.from({ length: saga.sequence }, (_, index) => index + 1);
  if (String(sequences) !== String(whole)) fail(`The history was ${sequences}.`);
});

story('a page that is behind on a slow line does not call itself live', async ({ page, open, query }) => {
  const delays = { ms: 0 };
  await page.routeWebSocket('**/graphql', (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => void setTimeout(() => socket.send(message), delays.ms));
  });
  await open(`/saga/${await book(query)}`);
  await page.getByText('Live', { exact: true }).waitFor();
  delays.ms = 4_000;
  await page.getByText(/^[3-5] s behind$/).waitFor();
  if (await page.getByText('Connection lost.').isVisible()) fail('A slow line is taken for a lost one.');
  delays.ms = 0;
  await page.getByText('Live', { exact: true }).waitFor();
});

story('the shell can be used by everyone, in both themes', async ({ page, open, expectAccessible }) => {
  await open('/saga/test');
  for (const scheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme: scheme });
    await expectAccessible();
  }
});

story(
  'a phone has the navigation at its foot, and nothing to scroll sideways',
  async ({ page, open }) => {
    await open('/saga/test');
    const foot = await page.getByRole('navigation', { name: 'Main' }).boundingBox();
    if (foot === null || foot.y + foot.height !== 800) fail('The navigation is not at the foot.');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) fail(`The page is ${overflow} pixels too wide.`);
  },
  { width: 390, height: 800, isTouch: true },
);

/**
 * @param {import('playwright-core').Page} page
 * @param {string} selector
 */
async function isFocused(page, selector) {
  await page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector);
}
