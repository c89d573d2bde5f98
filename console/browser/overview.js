import { book } from './bookings.js';
import { connectNow, fail, story } from './story.js';

story('the figures are those of the API, and lead to what they count', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  await book(query, { simulate: { failAt: ['RESERVE_SEAT'] } });
  const slow = await book(query, { simulate: { delayMs: 4_000 } });
  await open('/saga/overview?window=15m');
  await page.getByRole('radio', { name: '15 min', checked: true }).waitFor();
  const hold = page.locator('.holdlist li').filter({ has: page.locator(`a[href="/saga/${slow}"]`) });
  await hold.getByText(/^14:\d\d$/).waitFor();
  const success = page.locator('.fig').filter({ has: page.getByText('Success', { exact: true }) });
  await success.getByText(/^of \d+ finished; \d+ stuck$/).waitFor();

  await page.getByRole('link', { name: 'Reserve seat' }).click();
  await page.waitForURL('**/saga?failed=RESERVE_SEAT&window=any');
  await page.locator('.saga-table tbody tr').first().waitFor();
  await page.goBack();
  const { sagaStatistics } = await queryAsOperator('{ sagaStatistics { failedAt { step count } } }');
  const counted = sagaStatistics.failedAt.find(
    (/** @type {{ step: string }} */ { step }) => step === 'RESERVE_SEAT',
  ).count;
  const row = page.getByRole('listitem').filter({ has: page.getByRole('link', { name: 'Reserve seat' }) });
  const said = await row.locator('.mono').innerText();
  if (said !== String(counted)) fail(`${said} are shown, ${counted} there are.`);
});

story('an outage is drawn where it begins, and its sagas are counted alike everywhere', async (stage) => {
  const { page, open, becomeOperator, query, queryAsOperator } = stage;
  await becomeOperator();
  const STUCK = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };
  for (let made = 0; made < 3; made += 1) await book(query, { simulate: STUCK });
  await open('/saga/overview?window=24h');
  // Other stories leave some, too: all places say the number that the bar says.
  const bar = page.getByRole('link', { name: /^Incidents \d+ need you$/ });
  await page.waitForFunction(() => Number(document.querySelector('.nav .count')?.firstChild?.textContent) >= 3);
  const number = /\d+/.exec(await bar.innerText())?.[0];
  await page.getByText(`${number} sagas need you`).waitFor();
  const figures = page.locator('.fig .sub');
  await figures.getByText(new RegExp(`^of \\d+ finished; ${number} stuck$`)).waitFor();
  await figures.getByText(new RegExp(`^\\d+ under way, ${number} stuck, 0 parked$`)).waitFor();
  const queue = page.getByRole('region', { name: 'Queue, all sagas' });
  await queue.locator('[data-s=stuck]').getByText(`${number}`, { exact: true }).waitFor();

  // What got stuck is as high as what ended: an outage is no gap that ends in a peak.
  const { sagaStatistics } = await queryAsOperator(
    'query($since: DateTime) { sagaStatistics(since: $since) { buckets(seconds: 3600) { compensated stuck } } }',
    { since: new Date(Date.now() - 82_800_000).toISOString() },
  );
  const [stuck, compensated] = ['stuck', 'compensated'].map((name) =>
    sagaStatistics.buckets.reduce((/** @type {number} */ sum, /** @type {any} */ bucket) => sum + bucket[name], 0),
  );
  if (stuck < 3) fail(`${stuck} got stuck.`);
  const chart = page.getByRole('region', { name: 'Outcomes per hour' });
  const drawn = await chart
    .locator('rect.s')
    .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().height));
  const undone = await chart
    .locator('rect.hatched')
    .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().height));
  if (drawn.length === 0) fail('What got stuck has no height.');
  // A pixel of tolerance: a low bar has a least height.
  if (undone[0] !== undefined && Math.max(...drawn) + 1 < undone[0] * Math.min(1, stuck / compensated))
    fail(`${stuck} stuck are ${drawn} high, ${compensated} undone ${undone}.`);
});

story('figures outlive a server that is away, and are read anew', async (stage) => {
  const { page, open, becomeOperator, query, server, expectErrors } = stage;
  await becomeOperator();
  await book(query);
  await open('/saga/overview');
  const figures = page.locator('.figs');
  await figures.waitFor();
  expectErrors(/WebSocket connection|ERR_CONNECTION_REFUSED/);
  await server.stop();
  await page.getByText('Connection lost.').waitFor();
  await figures.waitFor();
  await server.start();
  await connectNow(page);
  await page.getByText('Live', { exact: true }).waitFor();
  const foot = page.getByText(/\d+ sagas? started in the last hour/);
  const started = Number(/\d+/.exec(await foot.innerText())?.[0]);
  await book(query);
  await page.getByText(new RegExp(`^${started + 1} sagas started in the last hour`)).waitFor();
});

story('the provider is paused with a reason, and those who must pay now are told to hold', async (stage) => {
  const { page, open, becomeOperator, queryAsOperator } = stage;
  await becomeOperator();
  await open('/saga/overview');
  const panel = page.getByRole('region', { name: 'Payment provider' });
  await panel.getByText('Calls are sent').waitFor();
  await panel.getByRole('button', { name: 'Pause the provider' }).click();
  await panel.getByRole('button', { name: 'Pause', exact: true }).click();
  await panel.getByText('Say why').waitFor();
  await panel.getByLabel('Reason, required').fill('Their status page says so.');
  await panel.getByRole('button', { name: 'Pause', exact: true }).click();
  await panel.getByText('Paused', { exact: true }).waitFor();
  await page.getByRole('alert').filter({ hasText: 'Payments are paused.' }).waitFor();

  await open('/saga/test');
  await page.getByText('The payment provider is paused: bookings that pay now are refused.').waitFor();
  await page.locator('.demo button[aria-disabled=false]').waitFor();
  await page.getByRole('button', { name: /success/i }).click();
  await page.getByText('Hold the seats first (payLater: true)').waitFor();
  await page.getByRole('button', { name: 'Hold the seats first' }).click();
  await page.getByRole('heading', { name: 'Seats held. Waiting for a card.' }).waitFor();
  await page.getByText('seats can be held, and paid for once it is back').waitFor();

  await open('/saga/overview');
  await panel.getByRole('button', { name: 'Resume the provider' }).click();
  await panel.getByLabel('Reason, required').fill('They are back.');
  await panel.getByRole('button', { name: 'Resume', exact: true }).click();
  await panel.getByRole('button', { name: 'Pause the provider' }).waitFor();
  const { operatorActions } = await queryAsOperator('{ operatorActions(first: 2) { edges { node { kind reason } } } }');
  const kinds = operatorActions.edges.map((/** @type {{ node: { kind: string } }} */ { node }) => node.kind);
  if (kinds.join() !== 'PROVIDER_RESUME,PROVIDER_PAUSE') fail(`The record has ${kinds}.`);
});
