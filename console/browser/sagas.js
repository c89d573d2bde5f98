import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

const STUCK = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };

story('a stuck saga comes to the top: one is skipped with a reason, another is tried again', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  await open('/saga?status=COMPLETED');
  await page.getByText('Live', { exact: true }).waitFor();
  const [first, second] = [await book(query, { simulate: STUCK }), await book(query, { simulate: STUCK })];
  await page.getByRole('button', { name: /^2 sagas got stuck.* Show them$/ }).click();

  const skipped = page.getByRole('article', { name: `Saga ${first}` });
  await skipped.getByText('Stuck', { exact: true }).waitFor();
  const opener = skipped.getByRole('button', { name: 'Skip with reason' });
  await opener.click();
  await skipped.getByText('The saga ends ABANDONED.').waitFor();
  await page.keyboard.press('Escape');
  if (!(await opener.evaluate((button) => button === document.activeElement))) fail('Escape lost the focus.');
  await opener.click();
  await isForEveryone(stage);
  await skipped.getByRole('button', { name: 'Skip Cancel payment' }).click();
  await skipped.getByText('Say why').waitFor();
  await skipped.getByLabel('Reason, required').fill('Voided by hand at the provider');
  await skipped.getByRole('button', { name: 'Skip Cancel payment' }).click();
  await skipped.getByText('Abandoned', { exact: true }).waitFor();

  const retried = page.getByRole('article', { name: `Saga ${second}` });
  await retried.getByRole('button', { name: 'Retry now' }).click();
  await retried.getByText('Undone', { exact: true }).waitFor();

  const { a, b } = await queryAsOperator(
    `query($a: UUID!, $b: UUID!) {
      a: saga(correlationId: $a) { status events(first: 100) { message } }
      b: saga(correlationId: $b) { status }
    }`,
    { a: first, b: second },
  );
  if (a.status !== 'ABANDONED' || b.status !== 'COMPENSATED') fail(`They ended ${a.status} and ${b.status}.`);
  if (!JSON.stringify(a.events).includes('Voided by hand at the provider')) fail('The reason is not in the history.');
  await open('/saga/overview');
  await page.getByText('Voided by hand at the provider').waitFor();
});

story('rows change in place, and newer sagas wait to be shown', async ({ page, open, becomeOperator, query }) => {
  await becomeOperator();
  await book(query);
  await open('/saga');
  const rows = page.locator('.saga-table tbody tr');
  await rows.first().waitFor();
  await page.getByText('Live', { exact: true }).waitFor();
  const before = await rows.count();

  const id = await book(query, { simulate: { delayMs: 800 } });
  const show = page.getByRole('button', { name: '1 newer saga. Show it' });
  await show.waitFor();
  if ((await rows.count()) !== before) fail('The newer saga did not wait.');
  await show.click();
  const row = rows.filter({ has: page.locator(`a[href="/saga/${id}"]`) });
  await row.getByText('Running').waitFor();
  await row.getByText('Completed').waitFor();
  if ((await rows.first().innerText()) !== (await row.innerText())) fail('It is not the newest.');
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
