/**
 * Stories: what a person does with the console, told to a real browser before a real server.
 *
 * A file beside this one tells some: `story('a hold counts down', async ({ page, open }) => { ... })`. tests/browser
 * has each told in a context of its own, which knows nothing of the others. A story fails, too, if a page logged an
 * error or asked any host but the server.
 */
import { createInterface } from 'node:readline';
import axe from 'axe-core';

/**
 * @typedef {object} Stage
 * @property {import('playwright-core').Page} page
 * @property {import('playwright-core').BrowserContext} context
 * @property {string} url - The server's, without a slash at its end.
 * @property {string} token - An operator's.
 * @property {{ stop(): Promise<void>, start(): Promise<void> }} server
 * @property {Provider} provider - Where the test has one that it can send away.
 * @property {(path: string) => Promise<void>} open - Goes there, and waits for the page's heading.
 * @property {() => Promise<void>} becomeOperator - Every page opened from then on has the operator's token.
 * @property {Query} query - GraphQL beside the page, as anybody: a page without the token sees what it makes.
 * @property {Query} queryAsOperator - What it makes is the operator's.
 * @property {(token: string) => Query} queryAs - As the bearer of this token.
 * @property {(pattern: RegExp) => void} expectErrors - What the page may log, because the story asks for it.
 * @property {(...rules: string[]) => Promise<void>} expectAccessible - axe finds nothing to say against the page as it
 *   stands; by these rules alone, if any are named.
 */

/** @typedef {{ comeBack(): Promise<void>, giveNoAnswer(): Promise<void> }} Provider - `giveNoAnswer`: to one void. */
/** @typedef {(query: string, variables?: object) => Promise<any>} Query - The data; throws what errors there are. */
/** @typedef {(stage: Stage) => Promise<void>} Tell */
/** @typedef {{ width?: number, height?: number, scheme?: 'light' | 'dark', isTouch?: boolean }} Look */

/** @type {Map<string, { tell: Tell, look: Look }>} */
const stories = new Map();

export const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const STEP_MS_MAX = 30_000;

/**
 * @param {string} name
 * @param {Tell} tell
 * @param {Look} look
 */
export function story(name, tell, look = {}) {
  if (stories.has(name)) throw new Error(`Two stories are called ${name}.`);
  stories.set(name, { tell, look });
}

/**
 * Run one story; throws what it fails with.
 *
 * @param {string} name
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string, token: string }} world
 */
export async function run(name, browser, world) {
  const { tell, look } = stories.get(name) ?? fail(`There is no story ${name}.`);
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1440, height: look.height ?? 1000 },
    colorScheme: look.scheme ?? 'light',
    hasTouch: look.isTouch ?? false,
    timezoneId: 'Europe/Zurich',
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(STEP_MS_MAX);
  const watch = watchOver(context, new URL(world.url).host);
  const page = await context.newPage();
  try {
    await tell(stageOf(page, world, watch));
    watch.judge();
  } catch (error) {
    console.log(`The page at its end, ${page.url()}:\n${await page.locator('body').ariaSnapshot()}\n${watch.log()}`);
    throw error;
  } finally {
    await context.close();
  }
}

/**
 * @param {import('playwright-core').Page} page
 * @param {{ url: string, token: string }} world
 * @param {ReturnType<typeof watchOver>} watch
 * @returns {Stage}
 */
function stageOf(page, { url, token }, watch) {
  const context = page.context();
  const key = `seatsaga.token${new URL(url).pathname.replace(/\/$/, '')}`;
  const bearing = (/** @type {string} */ value) => queryAs(url, { authorization: `Bearer ${value}` });
  return {
    page,
    context,
    url,
    token,
    query: queryAs(url, {}),
    queryAs: bearing,
    queryAsOperator: bearing(token),
    server: { stop: () => askFor('server: stop'), start: () => askFor('server: start') },
    provider: {
      comeBack: () => askFor('provider: come back'),
      giveNoAnswer: () => askFor('provider: give no answer'),
    },
    open: async (path) => {
      await page.goto(url + path);
      await page.locator('h1').first().waitFor();
    },
    becomeOperator: async () => {
      await context.addInitScript((kept) => sessionStorage.setItem(kept.key, kept.token), { key, token });
    },
    expectErrors: (pattern) => watch.expect(pattern),
    expectAccessible: async (...rules) => {
      if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source);
      // Of what passes, axe would describe every element.
      const options = { resultTypes: ['violations'], ...(rules.length > 0 ? { runOnly: rules } : {}) };
      const violations = await page.evaluate(
        async (only) => (await /** @type {any} */ (window).axe.run(only)).violations,
        options,
      );
      if (violations.length > 0) fail(violations.map(saidOfViolation).join('\n'));
    },
  };
}

/**
 * @param {string} url
 * @param {Record<string, string>} headers
 * @returns {Query}
 */
function queryAs(url, headers) {
  return async (query, variables = {}) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = /** @type {any} */ (await response.json());
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  };
}

/** @param {import('axe-core').Result} violation */
function saidOfViolation({ id, help, nodes }) {
  return `${id}: ${help}\n${nodes.map(({ html }) => `  ${html.slice(0, 300)}`).join('\n')}`;
}

/**
 * What the pages log and whom they ask.
 *
 * @param {import('playwright-core').BrowserContext} context
 * @param {string} host
 */
function watchOver(context, host) {
  /** @type {string[]} */ const errors = [];
  /** @type {Set<string>} */ const strangers = new Set();
  /** @type {RegExp[]} */ const expected = [];
  /** @param {string} address */
  const meet = (address) => {
    const { protocol, host: asked } = new URL(address);
    if (!['data:', 'blob:'].includes(protocol) && asked !== host) strangers.add(address);
  };
  context.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`);
  });
  context.on('weberror', (error) => errors.push(String(error.error().stack)));
  context.on('request', (request) => meet(request.url()));
  context.on('page', (page) => page.on('websocket', (socket) => meet(socket.url())));
  return {
    /** @param {RegExp} pattern */
    expect: (pattern) => void expected.push(pattern),
    log: () => errors.join('\n'),
    judge: () => {
      const unexpected = errors.filter((error) => !expected.some((pattern) => pattern.test(error)));
      if (unexpected.length > 0) fail(`The page logged:\n${unexpected.join('\n')}`);
      if (strangers.size > 0) fail(`Other hosts were asked:\n${[...strangers].join('\n')}`);
    },
  };
}

/**
 * Press "Try now", unless the page has connected by itself. The button may disappear at any moment, so it is found and
 * pressed in one go.
 *
 * @param {import('playwright-core').Page} page
 */
export async function connectNow(page) {
  await page.evaluate(() => {
    [...document.querySelectorAll('button')].find((button) => button.textContent === 'Try now')?.click();
  });
}

/** What the test says: which story is next, and that it has done as asked. */
export const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/**
 * The server and the provider are the test's; it is asked by a line, and answers by one once it has done as asked.
 *
 * @param {string} errand
 */
async function askFor(errand) {
  process.stdout.write(`${errand}\n`);
  const { value } = await lines.next();
  if (value !== 'done') fail(`The test was asked for "${errand}", and said: ${value}`);
}

/** @param {string} reason @returns {never} */
export function fail(reason) {
  throw new Error(reason);
}
