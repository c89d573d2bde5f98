import { fail, story } from './story.js';

/** @typedef {import('playwright-core').Page} Page */

const DONE_MS_MAX = 10_000;
const LAPTOP = { width: 1366, height: 657 };

story(
  'ten seconds after one click the page says what was undone',
  async ({ page, open }) => {
    await open('/saga/test');
    await page.getByText('A saga books step by step.').waitFor();
    await isReady(page);
    const startedAt = Date.now();
    await page.getByRole('button', { name: 'Show me' }).click();
    await page.getByRole('heading', { name: 'Award miles failed. Everything was undone.' }).waitFor();
    const came = page.locator('.came');
    await came.getByText('Nothing is left of this booking.').waitFor();
    if (Date.now() - startedAt > DONE_MS_MAX) fail(`It took ${Date.now() - startedAt} ms.`);
    const said = (await came.textContent()) ?? '';
    if (!/^Undone: [\d.]+ USD on the card released, nothing charged; seat \d+[A-F] free again\./.test(said)) fail(said);
    for (const part of [came, page.locator('#sentence'), page.locator('.station').last()]) await isInSight(page, part);
  },
  LAPTOP,
);

story(
  'what can go wrong, and the buttons that run it, are seen without scrolling',
  async ({ page, open }) => {
    await open('/saga/test');
    await isReady(page);
    const boxes = await page.locator('.faults').getByRole('checkbox').all();
    if (boxes.length < 8) fail(`There are ${boxes.length} faults.`);
    const buttons = ['Show me', 'Run success', 'Run selected failure'].map((name) =>
      page.getByRole('button', { name }),
    );
    for (const part of [...boxes, ...buttons]) await isInSight(page, part);
    // Names of steps may wrap, but not over what is below.
    for (const station of await page.locator('.station').all()) {
      const name = await station.locator('h3').boundingBox();
      const node = await station.locator('.node.out').boundingBox();
      if (name === null || node === null || name.y + name.height > node.y) fail('A name lies over its station.');
    }
  },
  LAPTOP,
);

story('the step that fails is chosen, and the same run opens in GraphiQL', async ({ page, open, context }) => {
  await open('/saga/test');
  await isReady(page);
  await page.getByLabel('a failure at').selectOption('Confirm booking');
  await page.getByRole('button', { name: 'Show me' }).click();
  await page.getByRole('heading', { name: /^Confirm booking failed\. Everything was undone\.$/ }).waitFor();
  const id = new URL(page.url()).searchParams.get('id');

  const [graphiql] = await Promise.all([
    context.waitForEvent('page'),
    page.getByRole('link', { name: 'As GraphQL' }).click(),
  ]);
  await graphiql.waitForFunction(() => document.title.startsWith('Book · '));
  await graphiql.getByRole('button', { name: /^Execute query/ }).click();
  await graphiql.getByRole('menuitem', { name: 'Book' }).click();
  await says(graphiql, `"correlationId": "${id}"`);
  await says(graphiql, '"errors": []');
});

story('each step lights up while it runs, and the queue names the same one', async ({ page, open }) => {
  await open('/saga/test');
  await isReady(page);
  await page.evaluate(() => {
    const seen = /** @type {any} */ (globalThis);
    seen.lit = [];
    const look = () => {
      const lit = [...document.querySelectorAll('.station:has(.node.out[data-s=executing]) h3')];
      const queued = [...document.querySelectorAll('.queue .chip[data-s=executing]')];
      const names = [lit.map((one) => one.firstChild), queued].map((some) =>
        some.map((one) => one?.textContent?.trim()),
      );
      seen.lit.push(names.join(' / '));
      requestAnimationFrame(look);
    };
    look();
  });
  await page.getByRole('button', { name: 'Show me' }).click();
  await page.getByText('Nothing is left of this booking.').waitFor();
  const lit = new Set(/** @type {string[]} */ (await page.evaluate(() => /** @type {any} */ (globalThis).lit)));
  const wanted = ['', 'Reserve seat', 'Authorize payment', 'Award miles'].map((name) => `${name} / ${name}`);
  if ([...lit].toSorted().join() !== wanted.toSorted().join()) fail(`Seen were ${[...lit].join('; ')}.`);
});

/** @param {Page} page */
async function isReady(page) {
  await page.locator('.demo button[aria-disabled=false]').waitFor();
}

/**
 * @param {Page} page
 * @param {import('playwright-core').Locator} part
 */
async function isInSight(page, part) {
  const box = await part.boundingBox();
  const height = page.viewportSize()?.height ?? 0;
  if (box === null || box.y < 0 || box.y + box.height > height) fail(`${part} is at ${JSON.stringify(box)}.`);
  const isUncovered = await part.evaluate((element) => {
    const { left, top, width, height: high } = element.getBoundingClientRect();
    const seen = document.elementFromPoint(left + width / 2, top + high / 2);
    return seen !== null && (element.contains(seen) || seen.contains(element));
  });
  if (!isUncovered) fail(`${part} is covered.`);
}

/** @param {Page} page @param {string} text */
async function says(page, text) {
  await page.waitForFunction((wanted) => {
    const models = /** @type {any} */ (globalThis).__MONACO?.editor.getModels() ?? [];
    return models.some(
      (/** @type {any} */ model) => model.uri.path.includes('response') && model.getValue().includes(wanted),
    );
  }, text);
}
