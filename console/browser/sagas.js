import { readFile } from 'node:fs/promises';
import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

const STUCK = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };

story('sagas that need a person are one line above the list, whatever is asked for', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  const stuck = [await book(query, { simulate: STUCK }), await book(query, { simulate: STUCK })];
  await open('/saga?status=COMPLETED&member=SS0000099');
  const line = page.locator('.need');
  await line.getByText(/^\d+ sagas stuck\.$/).waitFor();
  await page.getByText('No saga meets these filters').waitFor();
  if ((await page.locator('main article').count()) > 0) fail('Cards stand above a list that they do not belong to.');
  await line.getByRole('button', { name: 'Show them' }).click();
  await page.waitForURL(/status=STUCK/);
  if (!page.url().includes('window=any')) fail('Only those of the last day are shown.');
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  await page.waitForURL(({ search }) => search === '');
  if (new URL(page.url()).search !== '') fail(`Clear left ${page.url()}.`);
  for (const id of stuck) await page.locator(`.saga-table a[href="/saga/${id}"]`).waitFor();
  await isForEveryone(stage);
});

story('every saga is on some page, and Back leads to the page, the filter and the place', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  const member = 'SS0000066';
  const booked = await Promise.all(Array.from({ length: 60 }, () => book(query, { member })));
  await open(`/saga?member=${member}&rows=25`);
  const links = page.locator('.saga-table a[data-row]');
  /** @type {Set<string | null>} */ const seen = new Set();
  const next = page.getByRole('button', { name: 'Next page' });
  for (const rows of [25, 25, 10]) {
    await page.locator(`.saga-table tbody tr:nth-child(${rows})`).waitFor();
    await page.locator(`.saga-table tbody:not(:has(tr:nth-child(${rows + 1})))`).waitFor();
    const shown = await links.evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    if (shown.some((href) => seen.has(href))) fail('A saga is on two pages.');
    for (const href of shown) seen.add(href);
    if (rows === 25) {
      const first = shown[0];
      await next.click();
      await page.waitForFunction(
        (before) => document.querySelector('.saga-table a[data-row]')?.getAttribute('href') !== before,
        first,
      );
    }
  }
  if (booked.some((id) => !seen.has(`/saga/${id}`))) fail('A saga is on no page.');
  if (await next.isVisible()) fail('The last page has a next one.');

  await page.getByRole('button', { name: 'Previous page' }).click();
  await page.locator('.saga-table tbody tr:nth-child(25)').waitFor();
  const address = page.url();
  const wanted = links.nth(22);
  const href = await wanted.getAttribute('href');
  await wanted.scrollIntoViewIfNeeded();
  const y = await page.evaluate(() => scrollY);
  if (y === 0) fail('There is nothing to scroll.');
  await wanted.click();
  await page.getByRole('heading', { level: 1, name: /^Booked/ }).waitFor();
  await page.goBack();
  await page.waitForURL(address);
  await page.waitForFunction((wantedY) => Math.abs(scrollY - wantedY) < 60, y);
  await page.waitForFunction((opened) => document.activeElement?.getAttribute('href') === opened, href);
  await page.getByLabel('Failed step').selectOption('Authorize payment');
  await page.getByText('No saga meets these filters').waitFor();
  await page.goBack();
  await page.waitForURL(address);
  await links.nth(24).waitFor();
});

story('rows change in place, and newer sagas wait to be shown', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  await book(query);
  await open('/saga');
  const rows = page.locator('.saga-table tbody tr');
  await rows.first().waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  const before = await rows.count();

  const id = await book(query, { simulate: { delayMs: 1_500 } });
  const show = page.getByRole('button', { name: '1 newer saga. Show it' });
  await show.waitFor();
  if ((await rows.count()) !== before) fail('The newer saga did not wait.');
  await show.click();
  const row = rows.filter({ has: page.locator(`a[href="/saga/${id}"]`) });
  await row.getByText('Running').waitFor();
  await row.getByText('Completed').waitFor();
  if ((await rows.first().innerText()) !== (await row.innerText())) fail('It is not the newest.');
});

/** What a list may bring while 50 events a second happen, in bytes a minute. */
const LIVE_BYTES_A_MINUTE_MAX = 150_000;

story('fifty events a second cost a list little', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  await book(query);
  let bytes = 0;
  /** @param {{ length: number }} content */
  const add = ({ length }) => {
    bytes += length;
  };
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => add(payload)));
  page.on('response', (response) => void response.body().then(add, () => undefined));
  await open('/saga');
  await page.locator('.saga-table tbody tr').first().waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  bytes = 0;
  // Five bookings a second, of ten events each.
  const seconds = 12;
  for (let second = 0; second < seconds; second += 1) {
    const over = new Promise((resolve) => setTimeout(resolve, 1_000));
    await Promise.all([...Array.from({ length: 5 }, () => book(query)), over]);
  }
  await page.getByRole('button', { name: `${5 * seconds} newer sagas. Show them` }).waitFor();
  const aMinute = Math.round((bytes * 60) / seconds);
  if (aMinute > LIVE_BYTES_A_MINUTE_MAX) fail(`The list brought ${aMinute} bytes a minute.`);
});

story('filters and the search are in the address, and outlive a reload', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const member = 'SS0000077';
  const booked = await book(query, { member });
  const failed = await book(query, { member, simulate: { failAt: ['AUTHORIZE_PAYMENT'] } });
  await open('/saga');
  const ids = page.locator('.saga-table a[data-row]');
  /** @param {string[]} wanted */
  const areShown = async (wanted) => {
    const links = wanted.map((id) => `a[href="/saga/${id}"]`);
    await page.locator(`.saga-table tbody:not(:has(tr:nth-child(${wanted.length + 1})))`).waitFor();
    for (const link of links) await page.locator(`.saga-table ${link}`).waitFor();
  };

  await page.getByLabel('Member, as SS0000001').fill(member);
  await page.keyboard.press('Enter');
  await areShown([failed, booked]);
  await page.getByLabel('Failed step').selectOption('Authorize payment');
  await areShown([failed]);
  await page.getByRole('button', { name: /^Undone/ }).click();
  await page.getByLabel('Started').selectOption('Last hour');
  await page.getByLabel('Booking', { exact: true }).selectOption('Earn');
  await areShown([failed]);
  const asked = 'status=COMPENSATED&member=SS0000077&failed=AUTHORIZE_PAYMENT&window=1h&definition=BOOK_AND_EARN';
  for (const part of asked.split('&')) if (!page.url().includes(part)) fail(`${part} is not in ${page.url()}.`);
  await page.reload();
  await areShown([failed]);

  const { saga } = await queryAsOperator(
    'query($id: UUID!) { saga(correlationId: $id, waitSeconds: 10) { booking { reference } flights { id number } } }',
    { id: booked },
  );
  await page.getByLabel('Failed step').focus();
  await page.locator('body').click({ position: { x: 5, y: 200 } });
  await page.keyboard.press('/');
  await page.keyboard.type(saga.booking.reference);
  await page.keyboard.press('Enter');
  await areShown([booked]);
  await page.reload();
  await areShown([booked]);
  await open(`/saga?q=${failed}`);
  await areShown([failed]);
  await open('/saga?q=nonsense');
  await page.getByText('Nothing found for nonsense').waitFor();
  await page.getByRole('button', { name: 'Clear the search' }).click();
  await ids.first().waitFor();

  await page.getByLabel('Flight number').fill(saga.flights[0].number);
  await page.keyboard.press('Enter');
  await page.getByRole('list', { name: 'Departures' }).getByRole('button').first().click();
  await page.waitForURL(/flight=/);
});

story('one box suggests, takes the short ID that the list prints, and Escape clears it', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const id = await book(query, { member: 'SS0000044' });
  const { saga } = await queryAsOperator(
    'query($id: UUID!) { saga(correlationId: $id, waitSeconds: 10) { booking { reference } flights { number } } }',
    { id },
  );
  await open('/saga');
  const box = page.getByRole('combobox', { name: /^Find by an ID/ });
  const suggested = page.getByRole('listbox', { name: 'Suggestions' });
  await page.locator('.saga-table tbody tr').first().waitFor();
  await page.keyboard.press('/');
  const printed = page.locator(`.saga-table a[href="/saga/${id}"] .mono`);
  await page.keyboard.type((await printed.textContent()) ?? '');
  await suggested.getByRole('option', { name: /^Saga/ }).first().waitFor();
  await isForEveryone(stage);
  await page.keyboard.press('Enter');
  await page.waitForURL(/q=/);
  await page.locator(`.saga-table a[href="/saga/${id}"]`).waitFor();
  await box.focus();
  await page.keyboard.press('Escape');
  await page.waitForURL(({ search }) => !search.includes('q='));
  if ((await box.inputValue()) !== '') fail('Escape left the text.');

  await box.fill(saga.booking.reference);
  await suggested.getByRole('option', { name: new RegExp(`Booking ${saga.booking.reference}`) }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/saga/${id}`);

  await open('/saga?q=SS0000044');
  await page.getByRole('button', { name: /^Member SS0000044/ }).click();
  await page.waitForURL(/member=SS0000044/);
  await page.locator(`.saga-table a[href="/saga/${id}"]`).waitFor();
});

story('a filter that is chosen ends the search, and a search says that it found more than it lists', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  await Promise.all(Array.from({ length: 51 }, () => book(query)));
  const failed = await book(query, { simulate: { failAt: ['RESERVE_SEAT'] } });
  const undone = page.getByRole('button', { name: /^Undone/ });
  const completed = page.locator('.saga-table tr[data-status=COMPLETED]');
  await open('/saga?status=COMPENSATED&q=lovelace');
  await completed.first().waitFor();
  await page.getByText(/^The best \d+\. Type more to find others\.$/).waitFor();
  if ((await undone.getAttribute('aria-pressed')) !== 'false') fail('The search lists others, yet Undone is pressed.');

  await undone.click();
  await page.waitForURL(({ search }) => search.includes('status=COMPENSATED') && !search.includes('q='));
  await page.locator(`.saga-table a[href="/saga/${failed}"]`).waitFor();
  await completed.first().waitFor({ state: 'detached' });
});

story(
  'an address that names no filter is read as if it were not there',
  async ({ page, open, becomeOperator, query }) => {
    await becomeOperator();
    await book(query);
    await open('/saga?window=constructor&order=toString&status=valueOf&definition=constructor&unsettled=toString');
    await page.locator('.saga-table tbody tr').first().waitFor();
  },
);

story(
  'on a phone the filters that are chosen are in sight, and can be hidden',
  async ({ page, open, becomeOperator, query }) => {
    await becomeOperator();
    await book(query);
    await open('/saga?window=any');
    await page.locator('.saga-table tbody tr').first().waitFor();
    await page.getByLabel('Order').waitFor();
    await page.getByRole('button', { name: 'Fewer filters', expanded: true }).click();
    await page.getByLabel('Order').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'More filters', expanded: false }).click();
    await page.getByLabel('Order').waitFor();
    await open('/saga?window=any&q=lovelace');
    await page.locator('.saga-table tbody tr').first().waitFor();
    await page.getByRole('button', { name: 'More filters', expanded: false }).waitFor();
  },
  { width: 390, height: 844 },
);

story('the list is ordered, and filtered by failure and place', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  const simulate = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };
  const stuck = await book(query, { simulate });
  const failed = await book(query, { simulate: { failAt: ['RESERVE_SEAT'] } });
  await open(`/saga/${stuck}`);
  await page.getByRole('heading', { level: 1, name: 'Cancel payment keeps failing.' }).waitFor();
  await open('/saga');
  const first = page.locator('.saga-table a[data-row]').first();
  await page.getByLabel('Order').selectOption('Longest stuck first');
  await page.waitForURL(/order=stuck/);
  await page.locator('.saga-table tbody tr:first-child[data-status=STUCK]').waitFor();
  await page.getByLabel('Order').selectOption('Newest first');
  await page.locator(`.saga-table tbody tr:first-child a[href="/saga/${failed}"]`).waitFor();
  await page.getByLabel('Stuck at').selectOption('Authorize payment');
  await page.locator(`.saga-table a[href="/saga/${stuck}"]`).waitFor();
  await page.locator(`.saga-table a[href="/saga/${failed}"]`).waitFor({ state: 'detached' });
  await page.getByLabel('Failure code, as').fill('no_such_code');
  await page.keyboard.press('Enter');
  await page.getByText('No saga meets these filters').waitFor();
  await page.goBack();
  await first.waitFor();
});

story('all that is listed is saved as CSV and as JSON lines', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  const member = 'SS0000033';
  const ids = await Promise.all(Array.from({ length: 30 }, () => book(query, { member })));
  await open(`/saga?member=${member}&rows=25`);
  await page.locator('.saga-table tbody tr:nth-child(25)').waitFor();
  /** @param {string} name */
  const saved = async (name) => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name, exact: true }).click(),
    ]);
    return readFile(await download.path(), 'utf8');
  };
  const csv = await saved('Save as CSV');
  if (csv.split('\r\n').length !== 32) fail(`The file has ${csv.split('\r\n').length} lines.`);
  const lines = (await saved('JSON lines')).trim().split('\n');
  const told = lines.map((line) => JSON.parse(line).correlationId);
  if (ids.some((id) => !csv.includes(id) || !told.includes(id))) fail('A saga is missing.');
  await page.getByText('Saved 30.').waitFor();
});

story('a saga is found by keys alone', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  const id = await book(query, { member: 'SS0000055' });
  await open('/saga?member=SS0000055');
  await page.locator(`.saga-table a[href="/saga/${id}"]`).waitFor();
  const links = await page.locator('a[data-row]').count();
  for (let pressed = 0; pressed < links; pressed += 1) await page.keyboard.press('j');
  await page.keyboard.press('k');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/saga/${id}`);
});

story('a token that is not taken any more is asked for anew', async ({ page, context, open, token, expectErrors }) => {
  await context.addInitScript(() => sessionStorage.setItem('seatsaga.token', 'an old one'));
  expectErrors(/401|403|WebSocket/);
  await open('/saga');
  await page
    .getByText(/does not take|not valid|wants to know/)
    .first()
    .waitFor();
  const another = page.getByRole('button', { name: 'Give another token' });
  const field = page.getByLabel('Token', { exact: true });
  await another.or(field).first().waitFor();
  if (await another.isVisible()) await another.click();
  await field.fill(token);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { level: 1, name: 'Sagas' }).waitFor();
});

story('the list is for everyone', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  await book(query);
  await book(query, { simulate: { failAt: ['CONFIRM_BOOKING'] } });
  await open('/saga');
  await page.locator('.saga-table tbody tr').first().waitFor();
  await isForEveryone(stage);
});
