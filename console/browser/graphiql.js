import { book } from './bookings.js';
import { fail, story } from './story.js';

story('the first tab finds trips as it stands', async ({ page, url }) => {
  await enter(page, url);
  await run(page);
  await says(page, '"seatsAvailable": 144');
  await hasNoMarks(page);
});

story('a tab that is chosen at once shows its own operation', async ({ page, url }) => {
  await page.goto(`${url}/graphql`);
  await openTab(page, 'Book');
  await run(page);
  await says(page, 'bookFlight');
});

story('the documentation is there, and a field is completed', async ({ page, url }) => {
  await enter(page, url);
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Mutation' }).first().click();
  await page.getByText('Asks a running saga to stop and undo what it did.').waitFor();

  await page.getByRole('button', { name: 'New tab' }).click();
  await page.locator('.graphiql-query-editor .view-lines').click();
  await page.keyboard.type('query Airports { airports { co');
  const offered = page.locator('.suggest-widget').getByText('country', { exact: true });
  await asksFor(page, offered);
  await offered.click();
  await page.locator('.graphiql-query-editor').getByText('country').waitFor();
});

story('a booking is followed to its end by a subscription', async ({ page, url }) => {
  await enter(page, url);
  await openTab(page, 'Book');
  await run(page);
  await says(page, '"status": "PENDING"');
  await openTab(page, 'Follow');
  await run(page);
  await says(page, '"status": "RUNNING"');
  await says(page, '"reference"');
  await says(page, '"status": "COMPLETED",');
  await openTab(page, 'Cancel');
  await run(page);
  await says(page, 'TooLateToCancelError');
  await hasNoMarks(page);
});

story('a failure is simulated, and its undoing followed', async ({ page, url }) => {
  await enter(page, url);
  await openTab(page, 'BookAndFail');
  await run(page);
  await says(page, '"errors": []');
  await openTab(page, 'FollowFailure');
  await run(page);
  await says(page, 'COMPENSATED');
  await hasNoMarks(page);
});

story('the token goes with queries and with subscriptions', async ({ page, url, token, query }) => {
  await enter(page, url);
  await put(page, 'operation', 'query Totals { sagaStatistics { started } }');
  await isReady(page, 'Totals');
  await run(page);
  await says(page, 'FORBIDDEN');

  await page.getByRole('button', { name: 'Headers' }).click();
  await put(page, 'request-headers', `{"authorization": "Bearer ${token}"}`);
  await run(page);
  await says(page, '"started"');
  await put(page, 'operation', 'subscription Feed { sagaFeed { type } }');
  await isReady(page, 'Feed');
  await run(page);
  await page.getByRole('button', { name: /^Stop query/ }).waitFor();
  await book(query);
  await says(page, '"type": "SAGA_');
});

story('what was written is there again, and what was not is new each time', async ({ page, url }) => {
  await enter(page, url);
  const first = await variables(page);
  await page.reload();
  await isReady(page);
  await openTab(page, 'Follow');
  const second = await variables(page);
  await page.reload();
  await isReady(page);
  await openTab(page, 'Follow');
  if (new Set([first, second, await variables(page)]).size < 3) fail('The correlation ID is an old one.');

  await put(page, 'operation', 'query Mine { airports { code } }');
  await isReady(page, 'Mine');
  await page.waitForFunction(() => localStorage.getItem('graphiql:tabState')?.includes('query Mine'));
  await page.reload();
  await isReady(page, 'Mine');
});

/** @typedef {import('playwright-core').Page} Page */

/** @param {Page} page @param {string} url */
async function enter(page, url) {
  await page.goto(`${url}/graphql`);
  await isReady(page);
}

/**
 * The editors are there, and what would be run is known: the title names it.
 *
 * @param {Page} page
 * @param {string} operation
 */
async function isReady(page, operation = 'SearchTrips') {
  await page.waitForFunction((wanted) => document.title.startsWith(`${wanted} · `), operation);
}

/** @param {Page} page */
async function run(page) {
  await page.getByRole('button', { name: /^Execute query/ }).click();
}

/** @param {Page} page @param {string} name */
async function openTab(page, name) {
  await page.getByRole('tab', { name, exact: true }).click();
  await isReady(page, name);
}

/**
 * Put a text into an editor as a whole: typed, its brackets and quotes would be closed for us.
 *
 * @param {Page} page
 * @param {'operation' | 'variables' | 'request-headers'} editor
 * @param {string} text
 */
async function put(page, editor, text) {
  await page.evaluate(
    ([wanted, value]) => {
      const models = /** @type {any} */ (globalThis).__MONACO.editor.getModels();
      models.find((/** @type {any} */ model) => model.uri.path.includes(wanted)).setValue(value);
    },
    [editor, text],
  );
}

/**
 * The response holds the text: as the editor has it, of which only a part is drawn.
 *
 * @param {Page} page
 * @param {string} text
 */
async function says(page, text) {
  await page.waitForFunction((wanted) => {
    const models = /** @type {any} */ (globalThis).__MONACO?.editor.getModels() ?? [];
    return models.some(
      (/** @type {any} */ model) => model.uri.path.includes('response') && model.getValue().includes(wanted),
    );
  }, text);
}

/**
 * Ask for suggestions until what is wanted is among them: the schema may still be on its way to the worker.
 *
 * @param {Page} page
 * @param {import('playwright-core').Locator} offered
 */
async function asksFor(page, offered) {
  for (let tries = 1; tries <= 10; tries++) {
    try {
      return await offered.waitFor({ timeout: 1_000 });
    } catch {
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+Space');
    }
  }
  fail('The field was not offered.');
}

/** @param {Page} page @returns {Promise<string>} */
function variables(page) {
  return page.evaluate(() => {
    const models = /** @type {any} */ (globalThis).__MONACO.editor.getModels();
    return models.find((/** @type {any} */ model) => model.uri.path.includes('variables')).getValue();
  });
}

/** @param {Page} page */
async function hasNoMarks(page) {
  const marks = await page.evaluate(() => /** @type {any} */ (globalThis).__MONACO.editor.getModelMarkers({}));
  if (marks.length > 0) fail(JSON.stringify(marks));
}
