import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { connectNow, fail, story } from './story.js';

story('a saga goes on while the server is away, and its booking can be cancelled', async (stage) => {
  const { page, open, query, server, expectErrors } = stage;
  const id = await book(query, { simulate: { delayMs: 800 }, passengers: 2 });
  await open(`/saga/${id}`);
  await page.getByRole('heading', { level: 1, name: /^Booking/ }).waitFor();
  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByText('Connection lost.').waitFor();
  await server.start();
  await connectNow(page);

  await page.getByRole('heading', { level: 1, name: /^Booked/ }).waitFor();
  const sequences = await page
    .locator('.history [data-sequence]')
    .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('data-sequence'))));
  // Two more than 10 where the stop interrupted a call.
  const { saga } = await query(`{ saga(correlationId: "${id}") { sequence } }`);
  const whole = Array.from({ length: saga.sequence }, (_, index) => saga.sequence - index);
  if (String(sequences) !== String(whole)) fail(`The history was ${sequences}.`);
  if ((await page.getByText('Confirmed', { exact: true }).count()) < 3) fail('Seats and booking are not confirmed.');
  await page.getByText('local time').first().waitFor();
  await isForEveryone(stage);

  await page.getByRole('button', { name: 'Cancel booking' }).click();
  await page.getByRole('button', { name: /^Cancel booking [A-Z0-9]{6}$/ }).click();
  await page.getByRole('heading', { level: 1, name: /is cancelled\.$/ }).waitFor();
  if (page.url().includes(id)) fail('The cancellation is not shown at its own address.');
  await page.getByText('Made by').waitFor();
});

story('a running saga is cancelled, and what it did is undone', async (stage) => {
  const { page, open, query } = stage;
  const id = await book(query, { simulate: { delayMs: 2_000 } });
  await open(`/saga/${id}`);
  await page.getByText('Step completed').first().waitFor();
  await page.getByRole('button', { name: 'Cancel saga' }).click();
  await page.getByRole('button', { name: 'Cancel saga' }).last().click();
  await page.getByText('Cancel asked').waitFor();
  await page.getByRole('heading', { level: 1, name: /^Cancelled\. / }).waitFor();
  await page.getByText('Saga undone').waitFor();
  await isForEveryone(stage);
});

story('a stuck saga is tried again, or skipped with a reason', async (stage) => {
  const { page, open, becomeOperator, query } = stage;
  await becomeOperator();
  const simulate = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };
  const [retried, skipped] = [await book(query, { simulate }), await book(query, { simulate })];
  await open(`/saga/${retried}`);
  await page.getByRole('heading', { level: 1, name: 'Cancel payment keeps failing.' }).waitFor();
  await page.getByRole('button', { name: 'Retry now' }).click();
  await page.getByRole('heading', { level: 1, name: /Everything was undone\./ }).waitFor();

  await open(`/saga/${skipped}`);
  const opener = page.getByRole('button', { name: 'Skip with reason' });
  await opener.click();
  await page.getByText('The saga ends ABANDONED.').waitFor();
  await page.keyboard.press('Escape');
  if (!(await opener.evaluate((button) => button === document.activeElement))) fail('Escape lost the focus.');
  await opener.click();
  await isForEveryone(stage);
  await page.getByRole('button', { name: 'Skip Cancel payment' }).click();
  await page.getByText('Say why').waitFor();
  await page.getByLabel('Reason, required').fill('Voided by hand at the provider');
  await page.getByRole('button', { name: 'Skip Cancel payment' }).click();
  await page.getByText('Abandoned', { exact: true }).first().waitFor();
  await page.locator('.history').getByText('Voided by hand at the provider').first().waitFor();
  await open('/saga/overview');
  await page.getByText('Voided by hand at the provider').waitFor();
});

story('a refund that was given up is said loudly, with who and why, and before it is', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const booked = await book(query);
  const { saga } = await query(`{ saga(correlationId: "${booked}", waitSeconds: 10) { booking { reference } } }`);
  const { cancelBooking } = await query(
    `mutation { cancelBooking(input: {reference: "${saga.booking.reference}", simulate: {failAt: [REFUND_PAYMENT]}}) {
      saga { correlationId } errors { ... on UserError { message } }
    } }`,
  );
  await open(`/saga/${cancelBooking.saga.correlationId}`);
  await page.getByRole('heading', { level: 1, name: 'Refund payment keeps failing.' }).waitFor();
  await page.getByText(/^\d+\.00 USD at stake\./).waitFor();
  await page.getByRole('button', { name: 'Skip with reason' }).click();
  await page.getByText(/^\d+\.00 USD will NOT be refunded\.$/).waitFor();
  await page.getByLabel('Reason, required').fill('Transferred by the bank');
  await page.getByRole('button', { name: 'Skip Refund payment' }).click();

  const loud = page.locator('.left-behind');
  await loud.getByText(/^\d+\.00 USD was NOT refunded\.$/).waitFor();
  await loud.getByText(/^Refund payment was given up by admin-token:\w+, .*: Transferred by the bank$/).waitFor();
  const station = page.locator('[data-step=REFUND_PAYMENT]');
  await station.getByText('given up', { exact: true }).waitFor();
  if (await station.getByText('not needed').isVisible()) fail('The refund is said not to have been needed.');
  await page.getByText('Not given back', { exact: true }).waitFor();
  await page
    .getByRole('list', { name: /^What operators did/ })
    .getByText('Transferred by the bank')
    .waitFor();
  await page.getByRole('link', { name: 'Member SS0000001' }).waitFor();
  await page.getByRole('link', { name: 'Name Lovelace 0' }).waitFor();
  await isForEveryone(stage);

  await queryAsOperator(
    `mutation($id: UUID!) { settleSaga(input: {correlationId: $id, how: "Paid out by transfer 4711"}) { errors {
      ... on UserError { message } } } }`,
    { id: cancelBooking.saga.correlationId },
  );
  await page.reload();
  await loud.getByText(/^Settled by admin-token:\w+, .*: Paid out by transfer 4711$/).waitFor();
  if (await loud.getByText(/NOT refunded/).isVisible()) fail('What is settled is still at stake.');
});

story('a saga is saved as a file, and opens again step by step, read-only', async (stage) => {
  const { page, open, becomeOperator, query, url } = stage;
  await becomeOperator();
  const id = await book(query, { simulate: { failAt: ['AWARD_MILES'] } });
  await open(`/saga/${id}`);
  await page.getByRole('heading', { level: 1, name: /Everything was undone\./ }).waitFor();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save as a file' }).click(),
  ]);
  const path = await download.path();
  await open('/saga/file');
  let isSent = false;
  page.on('request', (request) => {
    isSent ||= `${request.url()} ${request.postData()}`.includes(id);
  });
  await page.getByLabel('Choose a file').setInputFiles(path);
  await page.getByRole('heading', { name: /Everything was undone\./ }).waitFor();
  if (await page.getByRole('button', { name: /Cancel|Retry|Skip/ }).isVisible()) fail('It can be acted upon.');
  await isForEveryone(stage);
  await page.setViewportSize({ width: 1440, height: 1000 });
  const rows = page.locator('.history [data-sequence]');
  const events = await rows.count();
  const station = page.locator('[data-step=RESERVE_SEAT] .node');
  for (let at = events; at > 1; at -= 1) await page.getByRole('button', { name: 'Back', exact: true }).click();
  if ((await rows.count()) !== 1) fail('The history does not go back.');
  await page.locator('[data-step=RESERVE_SEAT] .node.out[data-s=pending]').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.locator('[data-step=RESERVE_SEAT] .node.out[data-s=executing]').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await page.locator('[data-step=RESERVE_SEAT] .node.out[data-s=completed]').waitFor();
  if ((await station.count()) !== 2) fail('The station is not whole.');

  for (const [text, said] of [
    ['MZ', 'The file is not JSON'],
    ['{"format": "other"}', 'holds something else than a saga'],
    ['{"format": "seatsaga.saga", "version": 99}', 'has version 99'],
    ['{"format": "seatsaga.saga", "version": 1, "savedAt": 7}', 'The file is damaged: file.savedAt'],
  ]) {
    await page
      .getByLabel('Choose a file')
      .setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from(text ?? '') });
    await page.getByText(said ?? '').waitFor();
  }
  if (isSent) fail('The file was sent somewhere.');
  if (new URL(page.url()).origin !== url) fail('The page was left.');
});

story('who gives the token on the page of a stuck saga stays there', async ({ page, open, query, token }) => {
  const simulate = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };
  const id = await book(query, { simulate });
  await open(`/saga/${id}`);
  await page.getByRole('heading', { level: 1, name: 'Cancel payment keeps failing.' }).waitFor();
  if (await page.getByRole('button', { name: 'Retry now' }).isVisible()) fail('A customer sees Retry.');
  await page.getByRole('button', { name: 'Give an operator’s token' }).click();
  await page.getByLabel('Token', { exact: true }).fill(token);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('button', { name: 'Retry now' }).waitFor();
  if (!page.url().endsWith(`/saga/${id}`)) fail(`The page went to ${page.url()}.`);
});

story('times are shown in UTC or in the reader’s zone, as chosen, and the choice is kept', async (stage) => {
  const { page, open, query } = stage;
  const id = await book(query);
  await open(`/saga/${id}`);
  const time = page.locator('.history time').first();
  await page.getByText('Times in your zone, Europe/Zurich.').waitFor();
  const local = await time.getAttribute('title');
  await page.getByRole('button', { name: 'Show UTC' }).click();
  await page.getByText('Times in UTC.').waitFor();
  const utc = await time.getAttribute('title');
  if (!utc?.endsWith(', UTC') || utc === local) fail(`It says ${utc} instead of ${local}.`);
  await page.reload();
  await page.getByText('Times in UTC.').waitFor();
  await page.getByRole('button', { name: 'Show your zone' }).click();
  await page.getByText('Times in your zone, Europe/Zurich.').waitFor();
});

story('an ID that there is not is said not to be there', async ({ page, open }) => {
  await open('/saga/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee');
  await page.getByText('There is no saga with this correlation ID yet').waitFor();
  await page.goto(`${new URL(page.url()).origin}/saga/no-such-thing`);
  await page.getByText('This address names no saga').waitFor();
});
