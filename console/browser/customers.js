import { createHmac } from 'node:crypto';
import { book } from './bookings.js';
import { isForEveryone } from './looks.js';
import { fail, story } from './story.js';

/** As tests/browser/test_customers.py has the server know it. */
const SECRET = 'the-secret-of-the-stories-about-customers';
const STUCK = { failAt: ['AWARD_MILES'], failCompensationAt: ['CANCEL_PAYMENT'] };

/** A token that the server takes. @param {object} claims */
function signed(claims) {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const said = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, ...claims })}`;
  return `${said}.${createHmac('sha256', SECRET).update(said).digest('base64url')}`;
}

/**
 * Every page opened from then on is this person's.
 *
 * @param {import('./story.js').Stage} stage
 * @param {object} claims
 */
async function become({ context, queryAs }, claims) {
  const token = signed(claims);
  await context.addInitScript((value) => sessionStorage.setItem('seatsaga.token', value), token);
  return queryAs(token);
}

/** @param {import('playwright-core').Page} page @param {RegExp} name */
async function isNowhere(page, name) {
  for (const role of /** @type {const} */ (['button', 'link'])) {
    if ((await page.getByRole(role, { name }).count()) > 0) fail(`There is a ${role} ${name}.`);
  }
}

story('a customer sees neither Retry nor Skip, nor the pages of operators', async (stage) => {
  const { page, open } = stage;
  const query = await become(stage, { sub: 'ada', member: 'SS0000001' });
  const id = await book(query, { simulate: STUCK });
  await open(`/saga/${id}`);
  await page.getByText('Stuck', { exact: true }).first().waitFor();
  await page.getByRole('link', { name: 'Test', exact: true }).waitFor();
  await isNowhere(page, /Retry|Skip with|Incidents|Overview|Scheduler|operator/);
  await isForEveryone(stage);
  await page.goto(`${stage.url}/saga/incidents`);
  await page.getByText('This page is for operators.').waitFor();
});

story('a customer has a list of their own sagas', async (stage) => {
  const { page, open } = stage;
  const others = await book(stage.queryAs(signed({ sub: 'bob', member: 'SS0000002' })), { member: 'SS0000002' });
  const query = await become(stage, { sub: 'ada', member: 'SS0000001' });
  const own = await book(query);
  await open('/saga');
  await page.locator(`.saga-table a[href="/saga/${own}"]`).waitFor();
  if ((await page.locator(`.saga-table a[href="/saga/${others}"]`).count()) > 0) fail('Another’s saga is listed.');
  const later = await book(query);
  await page.locator(`.saga-table a[href="/saga/${later}"]`).waitFor();
  if (await page.getByText('This list is no longer live.').isVisible()) fail('It claims that it was live.');
});

story('an operator who may only read is offered nothing else', async (stage) => {
  const { page, open } = stage;
  const customer = await become(stage, { sub: 'ada', member: 'SS0000001' });
  const id = await book(customer, { simulate: STUCK });
  await become(stage, { sub: 'night desk', role: 'operator', scope: 'sagas:read' });
  await open(`/saga/${id}`);
  await page.getByText('Stuck', { exact: true }).first().waitFor();
  await page.getByRole('link', { name: /^Incidents/ }).waitFor();
  await isNowhere(page, /Retry|Skip with|Cancel saga/);
  await open('/saga/scheduler');
  await page.getByRole('article', { name: 'Prune history' }).waitFor();
  await isNowhere(page, /^(Run now|Pause|Interval)$/);
  await open('/saga/overview');
  await page.getByRole('region', { name: 'Payment provider' }).waitFor();
  await isNowhere(page, /^Pause the provider$/);
});

story('an operator whose token lacks a scope is told which', async (stage) => {
  const { page } = stage;
  await become(stage, { sub: 'scheduler', role: 'operator', scope: 'jobs:write' });
  await page.goto(`${stage.url}/saga/overview`);
  await page.getByText('This page needs sagas:read; your token has jobs:write.').waitFor();
  await isNowhere(page, /Overview|Incidents/);
  await page.getByLabel('Token', { exact: true }).fill(signed({ sub: 'desk', role: 'operator' }));
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.locator('.figs').waitFor();
});
