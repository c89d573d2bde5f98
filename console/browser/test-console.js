import { stepsOf } from './bookings.js';
import { fail, story } from './story.js';

/** @typedef {import('playwright-core').Page} Page */

const WIDTHS = [320, 390, 820, 1280, 1440];

story('a booking is made with the seats that were chosen', async ({ page, open }) => {
  await open('/saga/test?delay=0&people=2');
  await seat(page, '20A').click();
  await page.getByText('passenger 2 has no seat yet').waitFor();
  await seat(page, '20B').click();
  await run(page, 'success', /^Booked: [A-Z0-9]{6}\.$/);

  await page.getByLabel('20A, booked for you, passenger 1').waitFor();
  await page.getByLabel('20B, booked for you, passenger 2').waitFor();
  await result(page, '20A, 20B booked').waitFor();
  await page.getByText('10 events, all').waitFor();
  const reference = await page.locator('.reference').textContent();
  const said = await page.locator('#sentence').textContent();
  if (said !== `Booked: ${reference}.`) fail(`"${said}", but the result is ${reference}.`);
});

story('a round trip is booked with seats on both flights', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await page.getByText('Round trip').click();
  await seat(page, '21C').click();
  await page.getByText(/^Back, /).click();
  await seat(page, '22D').click();
  await page.getByLabel('22D, chosen, passenger 1').waitFor();
  await run(page, 'success', /^Booked: /);
  await result(page, '21C, 22D booked').waitFor();
});

story('who earns sees each step fail, and what was done undone', async ({ page, open, query }) => {
  await open('/saga/test?delay=0');
  await failAtEach(page, await stepsOf(query, 'BOOK_AND_EARN'));
});

story('who redeems sees each step fail, and what was done undone', async ({ page, open, query }) => {
  await open('/saga/test?delay=0&pays=redeem&member=SS0000002');
  await failAtEach(page, await stepsOf(query, 'BOOK_AND_REDEEM'));
});

story('ticks stay at their position when the booking changes', async ({ page, open }) => {
  await open('/saga/test');
  await page.getByText('Tick a step first').waitFor();
  await page.getByLabel('Authorize payment fails').check();
  await page.getByText('Tick a step first').waitFor({ state: 'detached' });
  await page.getByRole('form').getByText('Redeem points').click();
  if (!(await page.getByLabel('Deduct loyalty points fails').isChecked())) fail('The second row lost its tick.');
  await page.reload();
  if (!(await page.getByLabel('Deduct loyalty points fails').isChecked())) fail('The address forgot the tick.');
});

story('a tick that comes while the first flight is chosen stays', async ({ page, open }) => {
  // At the moment when the timetable is drawn: before the page fills in its form.
  await page.addInitScript(() => {
    const observer = new MutationObserver(() => {
      const isTimetableThere = document.querySelector('#setup option[value="AKL"]') !== null;
      const box = document.querySelector('[aria-label="Authorize payment fails"]');
      if (!isTimetableThere || !(box instanceof HTMLElement)) return;
      observer.disconnect();
      box.click();
    });
    observer.observe(document, { childList: true, subtree: true });
  });
  await open('/saga/test?delay=0');
  await page.getByRole('radiogroup', { name: 'Flights there' }).getByRole('radio').first().waitFor();
  if (!(await page.getByLabel('Authorize payment fails').isChecked())) fail('The tick is lost.');
  if ((await page.getByRole('combobox', { name: 'From' }).inputValue()) === '') fail('No airport is chosen.');
});

story('an answer that is lost is found out, and the saga goes on', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await page.getByLabel('Authorize payment loses its answer').check();
  await run(page, 'selected failure', /^Booked: /);
  await page.getByRole('log').getByText('Step retrying').waitFor();
});

story('an undo that keeps failing is stuck, and needs a person', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await page.getByLabel('Authorize payment fails').check();
  await page.getByLabel('Cancel seat keeps failing').check();
  await press(page, 'selected failure');
  await page.locator('#run').getByText('Stuck', { exact: true }).waitFor();
  await result(page, 'being released').waitFor();
});

story('points are redeemed, and the account says so', async ({ page, open }) => {
  await open('/saga/test?delay=0&pays=redeem&member=SS0000003&points=1500');
  await page.getByText(/: 50\s000 points/).waitFor();
  await run(page, 'success', /^Booked: /);
  await result(page, /1\s500 points redeemed/).waitFor();
  await page.getByText(/: 48\s500 points/).waitFor();
});

story('where nothing flies, no flights are found', async ({ page, open }) => {
  await open('/saga/test?from=AKL&to=BCN&on=2031-01-01');
  await page.getByText('No flights found').waitFor();
  await page.getByText('Choose a flight first.').waitFor();
  await page.getByRole('button', { name: 'Next day' }).click();
  await page.waitForURL('**on=2031-01-02**');
});

story('the address of a saga shows it again, with the form it came from', async ({ page, context, open, url }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url });
  await open('/saga/test?delay=0&people=2&cabin=business');
  await run(page, 'success', /^Booked: /);
  const said = await page.locator('#sentence').innerText();

  await page.reload();
  await page.getByText(said).waitFor();
  await page.getByText('10 events, all').waitFor();
  await page.getByRole('button', { name: 'Copy the correlation ID' }).click();
  await page.getByText('Copied').waitFor({ state: 'attached' });
  const id = await page.evaluate(() => navigator.clipboard.readText());
  if (new URL(page.url()).searchParams.get('id') !== id) fail(`${id} was copied at ${page.url()}.`);

  await open(`/saga/test/${id}`);
  await page.getByText(said).waitFor();
  await page.getByLabel('Passenger 2', { exact: true }).waitFor();
  if (!(await page.getByRole('radio', { name: 'Business' }).isChecked())) fail('The cabin is another one.');
});

story('an ID that is nobody’s says so', async ({ page, open }) => {
  await open('/saga/test?id=not-an-id');
  await page.getByText('Not found', { exact: true }).waitFor();
});

story('what the server does not take is said in words, with what to do', async ({ page, open }) => {
  await open('/saga/test?delay=0&member=SS9999999');
  await page.getByText('No such member').waitFor();
  await press(page, 'success');
  await page.getByText('Demo members are SS0000001 to SS0000100.').waitFor();
  await page.getByText('Not booked').waitFor();

  await page.getByRole('textbox', { name: 'Member' }).fill('');
  await page.getByLabel('Passenger 1', { exact: true }).fill('');
  await press(page, 'success');
  await page.getByText('Change passenger 1: the name').waitFor();
  await page.getByLabel('Passenger 1', { exact: true }).fill('Cher');
  await run(page, 'success', /^Booked: /);
});

story('a saga is cancelled while it runs, and a booking once there is one', async ({ page, open }) => {
  // Long enough for the click: once there is a booking, the button is the booking's.
  await open('/saga/test?delay=3000');
  await press(page, 'success');
  await page.getByRole('button', { name: 'Cancel saga' }).click();
  await page.getByText(/^Cancelled\. /).waitFor();
  await page.getByText('Everything was undone.').or(page.getByText('Nothing had to be undone.')).waitFor();

  await open('/saga/test?delay=0');
  await run(page, 'success', /^Booked: /);
  await page.getByRole('button', { name: 'Cancel booking' }).click();
  await page.getByText(/^Booking [A-Z0-9]{6} is cancelled\.$/).waitFor();
  await page.getByText('Booking cancelled').waitFor();
});

story(
  'seats of others are seen as they are held and booked, and cannot be chosen',
  async ({ page, context, open, url }) => {
    const other = await context.newPage();
    await open('/saga/test?delay=1500');
    await other.goto(`${url}/saga/test?delay=1500`);
    await seat(other, '25F').click();
    await press(other, 'success');
    const held = page.getByLabel('25F, held by another booking').and(page.locator('[aria-disabled="true"]'));
    await held.waitFor();
    await page
      .locator('.holds')
      .getByText(/^\d+[A-F] in \d\d:\d\d$/)
      .waitFor();
    await held.click({ force: true });
    await page.getByLabel('25F, booked').waitFor();
    await page.getByLabel('Seat of passenger 1: any').waitFor();
  },
);

story('the log is filtered as one types', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await run(page, 'success', /^Booked: /);
  const rows = page.getByRole('log').getByRole('listitem');
  await page.getByLabel('Filter the log').fill('completed payment');
  await page.waitForFunction(() => document.querySelectorAll('[role=log] li').length === 1);
  await rows.getByText('Step completed').waitFor();
});

story('all scenarios end as expected', async ({ page, open, query }) => {
  const { sagaDefinitions } = await query('{ sagaDefinitions { isCurrent scenarios { failAt } } }');
  const current = sagaDefinitions.filter((/** @type {any} */ { isCurrent }) => isCurrent);
  const all = current.flatMap((/** @type {any} */ { scenarios }) => scenarios).length;
  await open('/saga/test');
  await page.getByRole('button', { name: 'Run all' }).click();
  await page.getByText(`${all} of ${all} done, ${all} as expected`).waitFor({ timeout: 60_000 });
  const seen = await page.getByRole('cell', { name: 'As expected' }).count();
  if (seen !== all) fail(`${seen} rows are as expected.`);
});

story('a seat is chosen by keyboard alone', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await seat(page, '27F').waitFor();
  await page.getByRole('button', { name: 'Clear' }).focus();
  for (let tabs = 0; tabs < 4 && (await focused(page)) === null; tabs++) await page.keyboard.press('Tab');
  const row = Number.parseInt((await focused(page)) ?? fail('Tab does not lead to the seats.'), 10);
  await keys(page, ['ArrowRight', 'ArrowRight', 'End', 'ArrowDown']);
  const there = await focused(page);
  if (there !== `${row + 2}E`) fail(`From row ${row} the keys led to ${there}.`);
  await page.keyboard.press('Space');
  await page.getByLabel(`${there}, chosen, passenger 1`).waitFor();
  await keys(page, ['Home', ...Array.from({ length: 9 }, () => 'ArrowLeft')]);
  if (!(await page.getByLabel('1A, free, not in Economy').evaluate((cell) => cell === document.activeElement))) {
    fail(`The keys led to ${await focused(page)}, not to 1A.`);
  }
  await page.keyboard.press('Enter');
  await page.getByLabel(`Seat of passenger 1: ${there}`).waitFor();
});

story('a saga that runs while the server restarts is caught up with', async (stage) => {
  const { page, open, query, server, expectErrors } = stage;
  await open('/saga/test?delay=800');
  await press(page, 'success');
  await page.getByRole('log').getByText('Step started').first().waitFor();
  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByText('Not connected.').waitFor();
  await server.start();
  await page.getByText(/^Booked: /).waitFor();
  await page.getByText(/ events, all$/).waitFor();
  const sequences = await page
    .locator('[role=log] [data-sequence]')
    .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('data-sequence'))));
  // More than ten, if the server stopped between a step's start and its call: the step is tried again.
  const id = new URL(page.url()).searchParams.get('id');
  const { saga } = await query(`{ saga(correlationId: "${id}") { sequence } }`);
  if (sequences.join() !== Array.from({ length: saga.sequence }, (_, index) => index + 1).join())
    fail(`The log was ${sequences}.`);
});

story(
  'the page can be used by everyone: before a run, refused, and after a failure',
  async ({ page, open, expectAccessible }) => {
    await open('/saga/test?delay=0&people=2&member=SS9999999');
    await seat(page, '27F').waitFor();
    await expectAccessible();
    await page.emulateMedia({ colorScheme: 'dark' });
    await press(page, 'success');
    await page.getByText('Not booked').waitFor();
    await expectAccessible();
    await page.getByRole('textbox', { name: 'Member' }).fill('SS0000004');
    await page.getByLabel('Award miles fails').check();
    await run(page, 'selected failure', /Everything was undone\.$/);
    await expectAccessible();
    await page.emulateMedia({ colorScheme: 'light' });
    await expectAccessible();
  },
);

story('the main button can be read at every moment, also when it wakes', async ({ page, open }) => {
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  await page.addInitScript(() => {
    const seen = new Set();
    /** @type {any} */ (globalThis).seen = seen;
    const look = () => {
      const button = document.querySelector('.go .primary');
      if (button) {
        const { color, backgroundColor } = getComputedStyle(button);
        seen.add(`${button.getAttribute('aria-disabled')} ${color} on ${backgroundColor}`);
      }
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
  });
  await open('/saga/test');
  await page.locator('.go .primary[aria-disabled="false"]').waitFor();
  const seen = /** @type {string[]} */ (await page.evaluate(() => [.../** @type {any} */ (globalThis).seen]));
  const blank = seen.filter((each) => each.startsWith('false') && each.endsWith('on rgba(0, 0, 0, 0)'));
  if (blank.length > 0) fail(`The button was drawn without its ground: ${blank.join()}`);
});

story('it fits every width, and nothing moves while a saga runs', async ({ page, open }) => {
  await open('/saga/test?delay=100');
  await seat(page, '27F').waitFor();
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 900 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) fail(`At ${width} the page is ${overflow} pixels too wide.`);
  }
  await page.getByLabel('Confirm booking fails').check();
  await page.evaluate(() => {
    const places = new Set();
    /** @type {any} */ (window).places = places;
    const look = () => {
      places.add((document.getElementById('seats')?.getBoundingClientRect().top ?? 0) + scrollY);
      requestAnimationFrame(look);
    };
    look();
  });
  await run(page, 'selected failure', /Everything was undone\.$/);
  const places = await page.evaluate(() => [.../** @type {any} */ (window).places].join());
  if (places.includes(',')) fail(`The seats stood at ${places}.`);
});

/** @param {string} name */
function plainName(name) {
  return name.charAt(0) + name.slice(1).toLowerCase().replaceAll('_', ' ');
}

/**
 * @param {Page} page
 * @param {Awaited<ReturnType<typeof stepsOf>>} steps
 */
async function failAtEach(page, steps) {
  for (const [index, { name }] of steps.entries()) {
    const step = plainName(name);
    await page.getByLabel(`${step} fails`).check();
    const everything = index === 0 ? 'Nothing had to be undone.' : 'Everything was undone.';
    await run(page, 'selected failure', `${step} failed. ${everything}`);
    const stack = await page.locator('.stack li[data-s="compensated"]').allInnerTexts();
    const undone = stack.map((row) => row.replace(/\s*undone$/, ''));
    const before = steps.slice(0, index).toReversed();
    const expected = before.map(({ compensation }) => plainName(compensation ?? fail(`Nothing undoes ${step}.`)));
    if (undone.join() !== expected.join()) fail(`${step}: undone were ${undone}, not ${expected}.`);
    const back = await page.locator('.node.back[data-s="compensated"]').count();
    if (back !== index) fail(`${step}: ${back} stations are undone on the line.`);
    await result(page, 'SIMULATED').waitFor();
    await page.getByLabel(`${step} fails`).uncheck();
  }
}

/**
 * @param {Page} page
 * @param {'success' | 'selected failure'} what
 */
async function press(page, what) {
  await page.locator('.go [aria-disabled="false"]', { hasText: `Run ${what}` }).click();
}

/**
 * Runs, and waits for the sentence it is to end with.
 *
 * @param {Page} page
 * @param {'success' | 'selected failure'} what
 * @param {string | RegExp} sentence
 */
async function run(page, what, sentence) {
  await press(page, what);
  await page.locator('#sentence').getByText(sentence).waitFor();
}

/**
 * @param {Page} page
 * @param {string} number
 */
function seat(page, number) {
  return page.locator(`[data-number="${number}"][aria-disabled="false"]`);
}

/**
 * @param {Page} page
 * @param {string | RegExp} text
 */
function result(page, text) {
  return page.locator('.result').getByText(text);
}

/**
 * @param {Page} page
 * @param {string[]} pressed
 */
async function keys(page, pressed) {
  for (const key of pressed) await page.keyboard.press(key);
}

/** @param {Page} page @returns {Promise<string | null>} The number of the seat that has the focus. */
function focused(page) {
  return page.evaluate(() => document.activeElement?.getAttribute('data-number') ?? null);
}
