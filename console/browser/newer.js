import { book } from './bookings.js';
import { fail, story } from './story.js';

/** What the API says, as a newer release would: names that this console has never heard of. */
const NEWER = /** @type {const} */ ([
  [/AWARD_MILES/g, 'SCREEN_PASSENGERS'],
  [/REVERSE_MILES/g, 'FORGET_SCREENING'],
  [/BOOK_AND_EARN/g, 'BOOK_AND_FLY'],
  [/"STEP_STARTED"/g, '"STEP_TAKEN_UP"'],
  [/"status":\s*"COMPENSATED"/g, '"status":"WELL_UNDONE"'],
  [/"status":\s*"FAILED"/g, '"status":"REFUSED_BOARDING"'],
]);

/** @param {string} text */
function newer(text) {
  return NEWER.reduce((said, [older, name]) => said.replace(older, name), text);
}

/** Let everything that a page hears of the API be of a newer release. @param {import('playwright-core').Page} page */
async function hearNewer(page) {
  await page.route('**/graphql', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: newer(await response.text()) });
  });
  await page.routeWebSocket('**/graphql', (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(typeof message === 'string' ? newer(message) : message));
  });
}

story('what only a newer release knows is drawn by its own name', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  const id = await book(query, { simulate: { failAt: ['CONFIRM_BOOKING'] } });
  await hearNewer(page);
  await open(`/saga/${id}`);
  await page.getByRole('heading', { name: 'Screen passengers SCREEN_PASSENGERS' }).waitFor();
  await page.getByText('Forget screening', { exact: true }).first().waitFor();
  await page.getByText('Well undone', { exact: true }).first().waitFor();
  await page.getByText('Step taken up').first().waitFor();
  await page.getByText(/^Book and fly, version \d+$/).waitFor();
  await page.goto(`${new URL(page.url()).origin}/saga`);
  await page.locator('.saga-table tbody tr').getByText('Well undone').first().waitFor();
  await page.goto(`${new URL(page.url()).origin}/saga/overview`);
  await page.locator('.figs').waitFor();
});

story('a view that cannot be drawn leaves the bar and the other views', async (stage) => {
  const { page, open, becomeOperator, query, expectErrors } = stage;
  await becomeOperator();
  const id = await book(query);
  expectErrors(/./);
  await page.route('**/graphql', async (route) => {
    const response = await route.fetch();
    // No console can draw statistics without a queue.
    await route.fulfill({ response, body: (await response.text()).replace(/"queue":\s*\{[^}]*\}/, '"queue":null') });
  });
  await page.goto(`${stage.url}/saga/overview`);
  await page.getByRole('alert').getByText('This page cannot be drawn.').waitFor();
  if ((await page.getByRole('navigation').count()) === 0) fail('The bar is gone.');
  await page.getByRole('link', { name: 'Sagas', exact: true }).click();
  await page.locator(`.saga-table a[href="/saga/${id}"]`).waitFor();
  if (await page.getByText('This page cannot be drawn.').isVisible()) fail('Another view still says so.');
  await page.unroute('**/graphql');
  await page.goBack();
  await page.locator('.figs').waitFor();
  await open('/saga/test');
});
