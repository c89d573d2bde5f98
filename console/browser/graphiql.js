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
  await says(page, '"status": "RUNNING"');
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

story('the token of the page is sent, and is kept for this tab alone', async ({ page, url, token, becomeOperator }) => {
  await becomeOperator();
  await enter(page, url);
  await put(page, 'operation', 'query Totals { sagaStatistics { started } }');
  await isReady(page, 'Totals');
  await run(page);
  await says(page, '"started"');
  await put(page, 'operation', 'subscription Feed { sagaFeed { type } }');
  await isReady(page, 'Feed');
  await run(page);
  await page.getByRole('button', { name: /^Stop query/ }).click();

  // By hand it may be given, too; and a headers' field that can be kept is not offered.
  await page.getByRole('button', { name: 'Headers' }).click();
  await put(page, 'request-headers', `{"Authorization": "Bearer ${token}"}`);
  await put(page, 'operation', 'query Again { sagaStatistics { finished } }');
  await isReady(page, 'Again');
  await run(page);
  await says(page, '"finished"');
  await page.getByRole('button', { name: 'New tab' }).click();
  await page.getByRole('button', { name: 'Open settings dialog' }).click();
  if ((await page.getByText('Persist headers').count()) > 0) fail('It offers to keep headers.');
  await page.waitForFunction(() => localStorage.getItem('graphiql:queries')?.includes('query Again'));
  await page.waitForFunction(() => localStorage.getItem('graphiql:tabState')?.includes('query Again'));
  await keepsNo(page, token);
});

story('a token that an earlier release kept is forgotten, and the queries are not', async ({ page, url, token }) => {
  const headers = JSON.stringify({ authorization: `Bearer ${token}` });
  const old = { query: 'query Old { airports { code } }', variables: '{}', headers, operationName: 'Old' };
  const kept = {
    queries: { queries: [old] },
    favorites: { favorites: [{ ...old, label: 'mine', favorite: true }] },
    tabState: {
      activeTabIndex: 0,
      tabs: [{ ...old, id: 'one', hash: `${old.query}|{}|${headers}`, title: 'Old', response: null }],
    },
    headers,
    shouldPersistHeaders: true,
  };
  await page.goto(`${url}/healthz`);
  await page.evaluate(
    (entries) => {
      for (const [name, value] of entries) localStorage.setItem(`graphiql:${name}`, value);
    },
    /** @type {[string, string][]} */ (
      Object.entries(kept).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])
    ),
  );
  // On whichever page of ours one comes back.
  await page.goto(`${url}/saga/test`);
  await page.locator('h1').first().waitFor();
  await keepsNo(page, token);
  await enter(page, url, 'Old');
  await page.getByRole('button', { name: 'Show History' }).click();
  await page.getByText('mine', { exact: true }).waitFor();
  await run(page);
  await says(page, '"code"');
  await keepsNo(page, token);
});

story('an address opens its query, and runs nothing by itself', async ({ page, url }) => {
  const query =
    'query First { airports { code } } query Second($code: String!) { flights(first: 1, filter: {origin: $code}) { edges { node { id } } } }';
  const shared = new URLSearchParams({ query, variables: '{"code": "ZRH"}', operationName: 'Second' });
  await enter(page, `${url}`, 'Second', `?${shared}`);
  if (!(await variables(page)).includes('"ZRH"')) fail('The variables are not there.');
  if ((await page.getByRole('tab').count()) < 2) fail('The examples are gone.');
  await page.reload();
  await isReady(page, 'Second');

  // What one wrote oneself is there beside it, and once it is changed the address no longer says it.
  await put(page, 'operation', 'query Mine { airports { city } }');
  await isReady(page, 'Mine');
  await page.waitForURL(`${url}/graphql`);
  await page.waitForFunction(() => localStorage.getItem('graphiql:tabState')?.includes('query Mine'));
  await enter(page, url, 'First', `?${new URLSearchParams({ query: 'query First { airports { country } }' })}`);
  await page.getByRole('tab', { name: 'Mine', exact: true }).waitFor();
  await run(page);
  await says(page, '"country"');
});

story('a subscription goes on while another tab is looked at', async ({ page, url, query }) => {
  await enter(page, url);
  await openTab(page, 'Follow');
  const id = JSON.parse(await variables(page)).correlationId;
  await run(page);
  await openTab(page, 'SearchTrips');
  await run(page);
  await says(page, '"seatsAvailable"');
  await book(query, { correlationId: id, simulate: { delayMs: 400 } });
  const [done] = await Promise.all([
    query(`{ saga(correlationId: "${id}", waitSeconds: 10) { booking { reference } } }`),
    page.getByRole('button', { name: 'New tab' }).click(),
  ]);
  await openTab(page, 'Follow');
  await says(page, done.saga.booking.reference);
  await page.getByRole('button', { name: /^Execute query/ }).waitFor();

  // What it said is not written where it does not belong.
  await openTab(page, 'SearchTrips');
  await says(page, '"seatsAvailable"');
});

story('a subscription that is stopped, or whose tab is closed, is over', async ({ page, url }) => {
  /** @type {import('playwright-core').WebSocket[]} */
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket));
  await enter(page, url);
  for (const end of ['stop', 'close']) {
    await openTab(page, 'Follow');
    await run(page);
    await page.getByRole('button', { name: /^Stop query/ }).waitFor();
    await openTab(page, 'Book');
    await openTab(page, 'Follow');
    await page.getByRole('button', { name: end === 'stop' ? /^Stop query/ : 'Close Tab' }).click();
    const socket = sockets.at(-1) ?? fail('It opened no socket.');
    for (let tries = 0; !socket.isClosed(); tries++) {
      if (tries > 100) fail(`It goes on after ${end}.`);
      await page.waitForTimeout(50);
    }
    if (end === 'stop') await openTab(page, 'Book');
  }
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

/** @param {Page} page @param {string} url @param {string} [operation] @param {string} [search] */
async function enter(page, url, operation, search = '') {
  await page.goto(`${url}/graphql${search}`);
  await isReady(page, operation);
}

/**
 * Nothing that outlives the tab has it.
 *
 * @param {Page} page
 * @param {string} token
 */
async function keepsNo(page, token) {
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie);
  if (kept.includes(token)) fail(`The token is kept: ${kept}`);
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
  await page.waitForFunction((wanted) => {
    const models = /** @type {any} */ (globalThis).__MONACO?.editor.getModels() ?? [];
    return models.some((/** @type {any} */ model) => model.uri.path.includes(wanted));
  }, editor);
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

/** What the editor of variables holds, once it is there. @param {Page} page @returns {Promise<string>} */
async function variables(page) {
  const held = await page.waitForFunction(() => {
    const models = /** @type {any} */ (globalThis).__MONACO?.editor.getModels() ?? [];
    return models.find((/** @type {any} */ model) => model.uri.path.includes('variables'))?.getValue();
  });
  return /** @type {Promise<string>} */ (held.jsonValue());
}

/** @param {Page} page */
async function hasNoMarks(page) {
  const marks = await page.evaluate(() => /** @type {any} */ (globalThis).__MONACO.editor.getModelMarkers({}));
  if (marks.length > 0) fail(JSON.stringify(marks));
}
