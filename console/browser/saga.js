import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

story('a saga goes on while the server is away, and its booking can be cancelled', async (stage) => {
  const { page, open, query, server, expectErrors } = stage;
  const id = await book(query, { simulate: { delayMs: 800 }, passengers: 2 });
  await open(`/saga/${id}`);
  await page.getByRole('heading', { level: 1, name: /^Booking/ }).waitFor();
  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByText('Connection lost.').waitFor();
  await server.start();
  // The page may have tried by itself a moment before.
  await page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 3_000 })
    .catch(() => undefined);

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
  const id = await book(query, { simulate: { delayMs: 900 } });
  await open(`/saga/${id}`);
  await page.getByText('Step completed').first().waitFor();
  await page.getByRole('button', { name: 'Cancel saga' }).click();
  await page.getByRole('button', { name: 'Cancel saga' }).last().click();
  await page.getByText('Cancel asked').waitFor();
  await page.getByRole('heading', { level: 1, name: /^Cancelled\. / }).waitFor();
  await page.getByText('Saga undone').waitFor();
  await isForEveryone(stage);
});

story('an ID that there is not is said not to be there', async ({ page, open }) => {
  await open('/saga/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee');
  await page.getByText('There is no saga with this correlation ID yet').waitFor();
  await page.goto(`${new URL(page.url()).origin}/saga/no-such-thing`);
  await page.getByText('This address names no saga').waitFor();
});
