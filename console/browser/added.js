import { book } from './bookings.js';
import { story } from './story.js';

/** What docs/sagas.md adds: tests/walks has these told to a server with that step in it. */
const STEP = '[data-step=NOTIFY_PARTNER]';

story('a step that was added says what it will do, and what it did', async ({ page, open, query }) => {
  const station = page.locator(STEP);
  await open(`/saga/${await book(query, { simulate: { failAt: ['RESERVE_SEAT'] } })}`);
  await station.getByRole('heading', { name: 'Notify partner NOTIFY_PARTNER' }).waitFor();
  await station.getByText('Tells the partner which flights are booked.').waitFor();

  await open(`/saga/${await book(query, { simulate: { loseAnswerAt: ['NOTIFY_PARTNER'] } })}`);
  await page.getByRole('heading', { name: /^Booked: [A-Z0-9]{6}/ }).waitFor();
  await station.locator('.node.out[data-s=completed] svg').waitFor();
  await station.getByText(/Partner told of [A-Z]+\d+/).waitFor();
  await station.getByText('try 2').waitFor();
});

story('a step that was added fails, and is undone', async ({ page, open, query }) => {
  const station = page.locator(STEP);
  await open(`/saga/${await book(query, { simulate: { failAt: ['NOTIFY_PARTNER'] } })}`);
  await page.getByRole('heading', { name: 'Notify partner failed. Everything was undone.' }).waitFor();
  await page.locator(`${STEP}[data-turn] .node.out[data-s=failed]`).waitFor();
  await page.locator('[data-step=AWARD_MILES] .node.back[data-s=compensated]').waitFor();

  await open(`/saga/${await book(query, { simulate: { failAt: ['CONFIRM_BOOKING'] } })}`);
  await page.getByRole('heading', { name: 'Confirm booking failed. Everything was undone.' }).waitFor();
  await station.locator('.node.back[data-s=compensated] svg').waitFor();
  await station.getByText('Withdraw notice', { exact: true }).waitFor();
  await station.getByTitle('notice withdrawn').waitFor();
});

story('a step that was added can be ticked, and is part of the scenarios', async ({ page, open }) => {
  await open('/saga/test?delay=0');
  await page.getByLabel('Notify partner loses its answer').waitFor();
  await page.getByLabel('Withdraw notice keeps failing').waitFor();
  await page.getByLabel('Notify partner fails').check();
  await page.locator('.go [aria-disabled="false"]', { hasText: 'Run selected failure' }).click();
  await page.locator('#sentence').getByText('Notify partner failed. Everything was undone.').waitFor();
  await page.getByRole('button', { name: 'Run all' }).click();
  await page.getByText('19 of 19 done, 19 as expected').waitFor({ timeout: 60_000 });
  await page.getByRole('row', { name: /^Notify partner fails Earn miles .* 3 steps undone As expected / }).waitFor();
});
