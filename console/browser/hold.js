import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

/** @typedef {import('playwright-core').Page} Page */

const WORKS = 'Works';
const IS_POOR = 'Has insufficient funds';
const ASKS = 'Asks its holder';
const ASKS_IN_VAIN = 'Asks, then is declined';
const PAYING = '[data-step=AUTHORIZE_PAYMENT]';

story('seats are held, seen held on another screen, and paid for', async ({ page, context, open, url }) => {
  const other = await context.newPage();
  await other.goto(`${url}/saga/test`);
  await open('/saga/test?delay=0');
  await page.getByText('Hold first').click();
  await page.locator('[data-number="20A"][aria-disabled="false"]').click();
  await page.getByText('No seats are held yet.').waitFor();
  await hold(page);
  await page.getByRole('heading', { name: 'Seats held. Waiting for a card.' }).waitFor();
  await page.locator(`${PAYING} .node.out[data-s=held] svg`).waitFor();
  const asked = await page
    .locator(PAYING)
    .getByText(/USD to pay/)
    .textContent();
  const amount = /[\d.]+ USD/.exec(asked ?? '')?.[0];
  await other.getByLabel('20A, held by another booking').waitFor();
  await pay(page, WORKS);
  await ends(page, /^Booked: [A-Z0-9]{6}\.$/, new RegExp(`^${amount} charged\\.$`));
  await other.getByLabel('20A, booked').waitFor();
});

story('a card is declined, and another one is paid with', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await pay(page, IS_POOR);
  await told(page, 'The card has insufficient funds.', /Nothing was charged\. The seats are still held/);
  await page.getByRole('heading', { name: 'Seats still held, waiting for another card.' }).waitFor();
  await page.locator(PAYING).getByText('INSUFFICIENT_FUNDS').waitFor();
  await form(page).getByLabel('Another card').waitFor();
  await pay(page, IS_POOR);
  await page.locator('[data-sequence="10"]').waitFor();
  await told(page, 'The card has insufficient funds.', /still held/);
  await pay(page, WORKS);
  await ends(page, /^Booked: /, /charged/);
});

story('a token of one’s own is tried as it is', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await form(page).getByLabel('Its token').fill('pm_card_chargeDeclinedExpiredCard');
  await page.getByRole('button', { name: /^Pay / }).click();
  await told(page, 'The card has expired.', /still held/);
  if (page.url().includes('pm_card')) fail(`The token stands in the address: ${page.url()}`);
});

story('the bank asks the card’s holder, who approves', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await pay(page, ASKS);
  await page.getByRole('heading', { name: 'Seats held. The bank asks the card’s holder.' }).waitFor();
  await bank(page)
    .getByText(/^\d+\.\d\d USD$/)
    .waitFor();
  await bank(page).getByRole('button', { name: 'Approve' }).click();
  await ends(page, /^Booked: /, /charged/);
  await page.locator('dialog').waitFor({ state: 'detached' });
});

story('the holder refuses, looks again later, and a card that asks in vain is declined', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await pay(page, ASKS);
  await bank(page).getByRole('button', { name: 'Refuse' }).click();
  await told(page, /holder/, /Nothing was charged\. The seats are still held/);
  await page.getByRole('heading', { name: 'The card’s holder refused. Seats still held' }).waitFor();

  await pay(page, ASKS_IN_VAIN);
  await bank(page).getByRole('button', { name: 'Approve' }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Answer the bank' }).click();
  await bank(page).getByRole('button', { name: 'Approve' }).click();
  await told(page, 'The card has insufficient funds.', /still held/);
  await page.locator('dialog').waitFor({ state: 'detached' });
});

story('the bank is answered in a window of its own', async ({ page, context, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await pay(page, ASKS);
  const opening = context.waitForEvent('page');
  await page.getByRole('link', { name: 'Open it in a window' }).click();
  const window = await opening;
  await window.getByRole('button', { name: 'Approve' }).click();
  await window.getByRole('heading', { name: 'Confirmed' }).waitFor();
  await ends(page, /^Booked: /, /charged/);
});

story('a card that is given at once asks its holder, who refuses', async ({ page, open }) => {
  await open('/saga/test?delay=0&card=asks');
  await page.locator('.go [aria-disabled="false"]', { hasText: 'Run success' }).click();
  await bank(page).getByRole('button', { name: 'Refuse' }).click();
  await ends(page, /holder/, /The seats are free again\. .*nothing charged\.$/);
  await page.getByRole('heading', { name: 'The card’s holder refused. Everything was undone.' }).waitFor();
});

story('the seats are given back', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await page.locator('[data-number="21A"][aria-disabled="false"]').click();
  await hold(page);
  await page.getByLabel('21A, held for you, passenger 1').waitFor();
  await page.getByRole('button', { name: 'Give the seats back' }).click();
  await ends(page, 'The seats were given back.', 'The seats are free again. Nothing charged.');
  await page.getByLabel('21A, free').or(page.getByLabel('21A, chosen, passenger 1')).waitFor();
});

story('what one tab does is seen in the other', async ({ page, context, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  const other = await context.newPage();
  await other.goto(page.url());
  await told(other, 'The seats are held.', 'Pay before the time is up.');
  const [here, there] = [await secondsLeft(page), await secondsLeft(other)];
  if (Math.abs(here - there) > 1) fail(`${here} s are left in one tab, ${there} s in the other.`);
  await pay(other, IS_POOR);
  await told(page, 'The card has insufficient funds.', /another card/);
  await pay(other, ASKS);
  await bank(other).getByRole('button', { name: 'Approve' }).waitFor();
  await page.getByRole('button', { name: 'Answer the bank' }).waitFor();
  if (await page.locator('dialog').isVisible()) fail('The bank’s page opened in the tab that did not pay.');
  await bank(other).getByRole('button', { name: 'Approve' }).click();
  await ends(page, /^Booked: /, /charged/);
});

story('the tab is closed, and the link opened again', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  const before = await secondsLeft(page);
  const id = new URL(page.url()).searchParams.get('id');
  await page.goto('about:blank');

  await open(`/saga/${id}`);
  await page.getByRole('heading', { name: 'Seats held. Waiting for a card.' }).waitFor();
  await page.getByText('left to pay, then the seats are released').waitFor();
  await page.getByRole('link', { name: 'Pay for it' }).click();
  const after = await secondsLeft(page);
  if (after > before || after < before - 15) fail(`${before} s were left, then ${after} s.`);
  await pay(page, WORKS);
  await ends(page, /^Booked: /, /charged/);
});

story('the server restarts while seats are held, and they can still be paid for', async (stage) => {
  const { page, open, server, expectErrors } = stage;
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await form(page).getByText('Not connected.').waitFor();
  await server.start();
  await form(page).getByText('Not connected.').waitFor({ state: 'detached' });
  await told(page, 'The seats are held.', 'Pay before the time is up.');
  await pay(page, WORKS);
  await ends(page, /^Booked: /, /charged/);
});

story('operators see in the list who is waited for', async ({ page, open, becomeOperator }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  const id = new URL(page.url()).searchParams.get('id');
  await becomeOperator();
  await open('/saga?status=WAITING');
  const row = page.getByRole('row').filter({ has: page.locator(`a[href="/saga/${id}"]`) });
  await row.getByText('Waiting', { exact: true }).waitFor();
  await row.getByText('Seats held. Waiting for a card.').waitFor();
  await row.getByLabel('Steps: completed, waiting, pending, pending').waitFor();
});

story('the time left is the server’s, also where the browser’s clock is wrong', async ({ page, open }) => {
  await page.addInitScript(() => {
    const now = Date.now;
    Date.now = () => now() + 600_000;
  });
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  const left = await secondsLeft(page);
  if (left < 770 || left > 780) fail(`${left} s are left.`);
});

story(
  'all is done by keyboard, on a phone, and for everyone',
  async (stage) => {
    const { page, open, expectAccessible } = stage;
    await open('/saga/test?delay=0&when=later');
    await hold(page);
    await told(page, 'The seats are held.', /Pay/);
    await form(page).getByLabel('Card').focus();
    await keys(page, ['Tab', 'Tab']);
    await focusIsOn(page, /^Pay \d+\.\d\d USD$/);
    await keys(page, ['Tab']);
    await focusIsOn(page, /^Give the seats back$/);
    await form(page).getByLabel('Card').selectOption(ASKS);
    await keys(page, ['Shift+Tab', 'Enter']);
    await page.getByRole('button', { name: 'Close, and answer later' }).waitFor();
    await bank(page).getByRole('button', { name: 'Refuse' }).waitFor();
    await expectAccessible();
    await keys(page, ['Escape']);
    await focusIsOn(page, /^Answer the bank$/);
    await keys(page, ['Enter']);
    await bank(page).getByRole('button', { name: 'Refuse' }).focus();
    await keys(page, ['Enter']);
    await told(page, /holder/, /another card/);
    await focusIsOn(page, /^Pay \d+\.\d\d USD$/);
    await isForEveryone(stage);
    await page.setViewportSize({ width: 360, height: 740 });
    await form(page).getByLabel('Another card').selectOption(WORKS);
    await page.getByRole('button', { name: /^Pay / }).focus();
    await keys(page, ['Enter']);
    await ends(page, /^Booked: /, /charged/);
  },
  { width: 360, height: 740, isTouch: true },
);

story('nothing moves from the hold to the booking', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await page.locator('[data-number="27F"]').waitFor();
  for (const width of [1440, 1000, 390]) {
    await page.setViewportSize({ width, height: 900 });
    const before = await topsOf(page);
    await hold(page);
    for (const [card, said] of /** @type {const} */ ([
      [IS_POOR, 'The card has insufficient funds.'],
      [WORKS, /^Booked: /],
    ])) {
      await pay(page, card);
      await told(page, said, /charged/);
      const now = await topsOf(page);
      if (now !== before) fail(`At ${width} the line and the seats stood at ${before}, then at ${now}.`);
    }
  }
});

/** @param {Page} page */
async function hold(page) {
  await page.locator('.go [aria-disabled="false"]', { hasText: 'Hold the seats' }).click();
  await page.locator('.time-left .countdown').waitFor();
}

/** @param {Page} page */
function form(page) {
  return page.getByRole('form', { name: 'Pay for the held seats' });
}

/**
 * @param {Page} page
 * @param {string} card
 */
async function pay(page, card) {
  await form(page).getByRole('combobox').selectOption({ label: card });
  await form(page)
    .locator('[aria-disabled="false"]', { hasText: /^Pay \d/ })
    .click();
}

/** @param {Page} page */
function bank(page) {
  return page.frameLocator('dialog iframe');
}

/**
 * @param {Page} page
 * @param {string | RegExp} title
 * @param {string | RegExp} text
 */
async function told(page, title, text) {
  await page.locator('.told').filter({ hasText: title }).filter({ hasText: text }).waitFor();
}

/**
 * It is over: what is told, and nothing counts down nor can be pressed any more.
 *
 * @param {Page} page
 * @param {string | RegExp} title
 * @param {string | RegExp} text
 */
async function ends(page, title, text) {
  await page.locator('.told strong').getByText(title).waitFor();
  await page.locator('.told span').getByText(text).waitFor();
  await page.locator('.time-left').getByText('--:--').waitFor();
  if ((await form(page).locator('[aria-disabled="false"]').count()) > 0) fail('It is over, but can still be paid.');
}

/** @param {Page} page */
async function secondsLeft(page) {
  const said = (await page.locator('.time-left .countdown').textContent()) ?? '';
  const [minutes = 0, seconds = 0] = said.split(':').map(Number);
  return minutes * 60 + seconds;
}

/**
 * @param {Page} page
 * @param {string[]} pressed
 */
async function keys(page, pressed) {
  for (const key of pressed) await page.keyboard.press(key);
}

/**
 * @param {Page} page
 * @param {RegExp} name
 */
async function focusIsOn(page, name) {
  const focused = page.getByRole('button', { name }).and(page.locator(':focus'));
  try {
    await focused.waitFor({ timeout: 3_000 });
  } catch {
    fail(`The focus is on ${await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200))}.`);
  }
}

/**
 * Where the line and, but for a phone, the seats stand: there the line is as long as what it says.
 *
 * @param {Page} page
 */
function topsOf(page) {
  return page.evaluate(() =>
    (innerWidth < 720 ? ['run'] : ['run', 'seats'])
      .map((id) => (document.getElementById(id)?.getBoundingClientRect().top ?? 0) + scrollY)
      .join(),
  );
}
