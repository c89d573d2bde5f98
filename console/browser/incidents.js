import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

const STUCK = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };

/** @param {import('./story.js').Query} query @param {string[]} ids */
async function areStuck(query, ids) {
  for (const id of ids) {
    for (;;) {
      const { saga } = await query('query($id: UUID!) { saga(correlationId: $id, waitSeconds: 1) { status } }', { id });
      if (saga.status === 'STUCK') break;
    }
  }
}

/** @param {import('playwright-core').Page} page */
const cancelPayment = (page) => page.getByRole('article', { name: /^Cancel payment keeps failing\./ });

story('an incident says whom it affects and what is at stake; one saga is tried', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const ids = [];
  for (let made = 0; made < 3; made += 1) ids.push(await book(query, { simulate: STUCK, passengers: made + 1 }));
  await areStuck(query, ids);
  await open('/saga/incidents');
  const incident = cancelPayment(page);
  const { incidents } = await queryAsOperator('{ incidents { compensation sagas seats money { amount currency } } }');
  const known = incidents.find((/** @type {any} */ { compensation }) => compensation === 'CANCEL_PAYMENT');
  await incident.getByText(`${known.sagas} sagas`, { exact: true }).waitFor();
  await incident.getByText(new RegExp(`${known.money[0].currency}, .*${known.seats} seats`)).waitFor();
  await page.getByText(/^Payment provider /).waitFor();
  await page.getByRole('link', { name: `Incidents ${known.sagas} need you` }).waitFor();

  await incident.getByRole('button', { name: 'Who is affected' }).click();
  for (const id of ids) await incident.locator(`a[href="/saga/${id}"]`).waitFor();
  await incident.getByText('Lovelace 0, Lovelace 1, Lovelace 2').waitFor();
  await isForEveryone(stage);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.reload();
  await incident.locator(`a[href="/saga/${ids[0]}"]`).first().waitFor();

  await incident.getByRole('button', { name: 'Try one' }).click();
  await incident.getByText(/^Went on\. /).waitFor();
  await incident.getByText(`${known.sagas - 1} sagas`, { exact: true }).waitFor();
  await page.getByRole('link', { name: `Incidents ${known.sagas - 1} need you` }).waitFor();
});

story('what was given up stays on the worklist until it is settled, and all is on the record', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const id = await book(query, { simulate: STUCK });
  await areStuck(query, [id]);
  await queryAsOperator(
    `mutation($id: UUID!) {
      skipStep(input: { correlationId: $id, step: AUTHORIZE_PAYMENT, reason: "Their bank is closed for good" }) {
        errors { ... on UserError { message } }
      }
    }`,
    { id },
  );
  await open('/saga/incidents');
  const worklist = page.getByRole('region', { name: 'To be settled by hand' });
  const owed = worklist.getByRole('listitem').filter({ has: page.locator(`a[href="/saga/${id}"]`) });
  await owed.getByText('Cancel payment was given up: Their bank is closed for good').waitFor();
  await owed.getByText(/^\d+\.\d\d USD/).waitFor();
  const opener = owed.getByRole('button', { name: 'Settle' });
  await opener.click();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.activeElement?.textContent === 'Settle');
  await opener.click();
  await owed.getByRole('button', { name: 'Record as settled' }).click();
  await owed.getByText('Say what was done').waitFor();
  await isForEveryone(stage);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await owed.getByLabel('What was done by hand, required').fill('Paid back by bank transfer');
  await owed.getByRole('button', { name: 'Record as settled' }).click();
  await owed.waitFor({ state: 'detached' });
  await page.getByText(`Settled: saga ${id.slice(0, 13)}.`).waitFor();

  await page.getByRole('link', { name: 'Record of actions' }).click();
  const record = page.getByRole('region', { name: 'Operator actions, newest first' });
  await record.getByRole('row', { name: /Settle .*Paid back by bank transfer/ }).waitFor();
  await page.getByLabel('Saga: its correlation ID').fill('nonsense');
  await page.keyboard.press('Enter');
  await page.getByText('No saga is called nonsense').waitFor();
  await page.getByLabel('Saga: its correlation ID').fill(id.slice(0, 13));
  await page.keyboard.press('Enter');
  await page.waitForURL(new RegExp(`saga=${id}`));
  await record.locator('tbody:not(:has(tr:nth-child(3)))').waitFor();
  await page.getByLabel('What was done').selectOption('Skip step');
  await record.locator('tbody:not(:has(tr:nth-child(2)))').waitFor();
  await record.getByRole('row', { name: /admin-token:.*Skip step.*Their bank is closed for good/ }).waitFor();
  await page.reload();
  await record.locator('tbody:not(:has(tr:nth-child(2)))').waitFor();
  if (!page.url().includes('kind=SKIP_STEP')) fail('The filter is not in the address.');
  await isForEveryone(stage);
});

story(
  'the rest of an incident is retried at a pace, with a report; a stopped one leaves sagas as they were',
  async (stage) => {
    const { page, open, becomeOperator, query, queryAsOperator } = stage;
    await becomeOperator();
    const ids = [];
    for (let made = 0; made < 6; made += 1) ids.push(await book(query, { simulate: STUCK }));
    await areStuck(query, ids);
    const { incidents } = await queryAsOperator('{ incidents { compensation sagas } }');
    const all = incidents.find((/** @type {any} */ { compensation }) => compensation === 'CANCEL_PAYMENT').sagas;
    await open('/saga/incidents');
    const incident = cancelPayment(page);
    const opener = incident.getByRole('button', { name: 'Retry all' });
    await opener.click();
    await incident.getByText(`${all} sagas match now.`).waitFor();
    await isForEveryone(stage);
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => document.activeElement?.textContent === 'Retry all');
    await opener.click();
    const start = incident.getByRole('button', { name: `Retry ${all} sagas` });
    await start.click();
    await incident.getByText('Say why').waitFor();
    await incident.getByLabel('Sagas a second').fill('0');
    await start.click();
    await incident.getByText('Give a pace of 1 to 1000 sagas a second.').waitFor();
    await incident.getByLabel('Sagas a second').fill('1');
    await incident.getByLabel('Reason, required').fill('The bank is back, slowly');

    // One more got stuck since they were counted: what was not counted is not touched.
    const late = await book(query, { simulate: STUCK });
    await areStuck(query, [late]);
    await start.click();
    await incident.getByText(`${all} sagas were expected, but ${all + 1} match now`).waitFor();
    await incident.getByText(`${all + 1} sagas match now.`).waitFor();
    await incident.getByRole('button', { name: `Retry ${all + 1} sagas` }).click();
    const slow = page.getByRole('article', { name: 'The bank is back, slowly' });
    await slow.getByText(/^[1-9]\d* of \d+ sagas done; about/).waitFor();
    await isForEveryone(stage);
    await page.setViewportSize({ width: 1440, height: 1000 });
    await slow.getByRole('button', { name: 'Stop' }).click();
    await slow.getByText(/ were left as they were\.$/).waitFor();

    await incident.getByRole('button', { name: 'Retry all' }).click();
    await incident.getByLabel('Sagas a second').fill('100');
    await incident.getByLabel('Reason, required').fill('The bank is back');
    await incident.getByRole('button', { name: /^Retry \d+ sagas?$/ }).click();
    const quick = page.getByRole('article', { name: 'The bank is back', exact: true });
    await quick.getByText(/^(\d+) of \1 sagas? done\.$/).waitFor();
    await quick.getByText(/^\d+ Undone$/).waitFor();
    await incident.waitFor({ state: 'detached' });

    await page.getByRole('link', { name: 'Bulk actions' }).click();
    await page.getByRole('heading', { level: 1, name: 'Bulk actions' }).waitFor();
    await quick.getByText(/^(\d+) of \1 sagas? done\.$/).waitFor();
    await slow.getByText('Stopped', { exact: true }).waitFor();
    await open('/saga/actions?kind=BULK_STOP');
    await page
      .getByRole('row', { name: /admin-token:.*Bulk stop/ })
      .first()
      .waitFor();
  },
);

story('a bulk skip names the sums before, and its sagas come to the worklist', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  const ids = [await book(query, { simulate: STUCK }), await book(query, { simulate: STUCK })];
  await areStuck(query, ids);
  await open('/saga/incidents');
  const incident = cancelPayment(page);
  await incident.getByRole('button', { name: 'Skip in all' }).click();
  await incident
    .getByText(/^Cancel payment is given up for good in each of them\. Left behind: \d+\.\d\d USD, /)
    .waitFor();
  await incident.getByLabel('Reason, required').fill('Their bank is gone');
  await incident.getByRole('button', { name: /^Skip \d+ sagas$/ }).click();
  const worklist = page.getByRole('region', { name: 'To be settled by hand' });
  for (const id of ids) await worklist.locator(`a[href="/saga/${id}"]`).waitFor();
  await incident.waitFor({ state: 'detached' });
  await page.getByText(/^No saga is stuck or parked\. \d+ sagas wait to be settled by hand\.$/).waitFor();
  await page.getByRole('heading', { name: /^Skip in \d+ sagas at Authorize payment: Their bank is gone$/ }).waitFor();
});
