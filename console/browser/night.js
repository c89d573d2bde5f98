import { fail, story } from './story.js';

/** For what takes as long as 5,000 sagas take on a busy machine. */
const ALL = { timeout: 400_000 };
const PACE = 100;
const WHY_SKIPPED = 'The flight is closed: its seats cannot be freed here';
const HOW_SETTLED = 'Freed at the gate by hand';

/** As the console shows it. */
const count = (/** @type {number} */ number) => new Intl.NumberFormat('en').format(number).replaceAll(',', '\u2009');

story('5,000 sagas are stuck at night, and in the end nothing is at stake', async (stage) => {
  const { page, open, becomeOperator, queryAsOperator, provider } = stage;
  await becomeOperator();

  // The page.
  const known = (await queryAsOperator('{ incidents { sagas money { amount } } }')).incidents[0];
  const money = count(Number(known.money[0].amount));
  await open('/saga/incidents');
  const away = page.getByRole('article', { name: 'Cancel payment keeps failing. PROVIDER_UNREACHABLE' });
  await away.getByText(`${count(known.sagas)} sagas`, { exact: true }).waitFor();
  await away.getByText(`${money}.00 USD, ${count(known.sagas)} seats`, { exact: true }).waitFor();
  await page.getByText(`${count(known.sagas)} sagas need you: one incident.`).waitFor();
  if ((await page.locator('.incident').count()) !== 1) fail('There is more than one incident.');
  const runbook = await away.getByRole('link', { name: 'Runbook' }).getAttribute('href');
  if (runbook !== '/saga/runbook#the-provider-cannot-be-reached') fail(`The runbook is ${runbook}.`);

  // One is tried, while the provider is away and once it is back.
  await away.getByRole('button', { name: 'Try one' }).click();
  await away.getByText('Failed again. The provider cannot be reached.').waitFor();
  await away.getByText(`${count(known.sagas)} sagas`, { exact: true }).waitFor();
  await provider.comeBack();
  await away.getByRole('button', { name: 'Try another' }).click();
  await away.getByText(/^Went on\. /).waitFor();
  await away.getByText(`${count(known.sagas - 1)} sagas`, { exact: true }).waitFor();

  // The rest.
  await provider.giveNoAnswer();
  const rest = `${count(known.sagas - 1)} sagas`;
  await away.getByRole('button', { name: 'Retry the rest' }).click();
  await away.getByText(`${rest} match now.`).waitFor();
  await away.getByLabel('Sagas a second').fill(String(PACE));
  await away.getByLabel('Reason, required').fill('The provider is back');
  await away.getByRole('button', { name: `Retry ${rest}` }).click();
  const bulk = page.getByRole('article', { name: 'The provider is back', exact: true });
  await bulk.getByText(new RegExp(`^[1-9]\\S* of ${rest} done; about .+ left\\.$`)).waitFor();

  // One got no answer: an incident of its own.
  const unanswered = page.getByRole('article', { name: /^Cancel payment keeps failing\. (?!PROVIDER_UNREACHABLE)/ });
  const retryUnanswered = async (/** @type {number} */ round) => {
    const reason = `They got no answer (${round})`;
    await unanswered.getByRole('button', { name: 'Retry all' }).click();
    await unanswered.getByText(/^\d+ sagas? match(es)? now\.$/).waitFor();
    await unanswered.getByLabel('Reason, required').fill(reason);
    await unanswered.getByRole('button', { name: /^Retry \d+ sagas?$/ }).click();
    const again = page.getByRole('article', { name: reason, exact: true });
    await again.getByText(/^\d+ of \d+ sagas? done\.$/).waitFor(ALL);
    await unanswered.waitFor({ state: 'detached' }).catch(() => undefined);
  };
  await unanswered.waitFor();
  await retryUnanswered(1);

  // All others go on by themselves.
  await bulk.getByText(`${rest} done.`).waitFor(ALL);
  await away.waitFor({ ...ALL, state: 'detached' });

  // On a slow machine more were left without an answer.
  for (let round = 2; await unanswered.count(); round += 1) await retryUnanswered(round);

  // Two need a person.
  const hopeless = page.getByRole('article', { name: 'Cancel seat keeps failing. SIMULATED' });
  await hopeless.getByText('2 sagas', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Incidents 2 need you' }).waitFor();
  await bulk.getByText('2 Stuck', { exact: true }).waitFor();
  await hopeless.getByRole('button', { name: 'Who is affected' }).click();
  const links = hopeless.locator('a[data-row]');
  await links.nth(1).waitFor();
  const addresses = await links.evaluateAll((all) => all.map((link) => link.getAttribute('href') ?? ''));
  if (addresses.length !== 2) fail(`They are ${addresses}.`);
  for (const address of addresses) {
    await open(address);
    await page.getByRole('button', { name: 'Skip with reason' }).click();
    await page.getByLabel('Reason, required').fill(WHY_SKIPPED);
    await page.getByRole('button', { name: 'Skip Cancel seat' }).click();
    await page.getByText('Abandoned', { exact: true }).first().waitFor();
  }

  // What is owed is settled.
  await open('/saga/incidents');
  await page.getByText('No saga is stuck or parked. 2 sagas wait to be settled by hand.').waitFor();
  const worklist = page.getByRole('region', { name: 'To be settled by hand' });
  await worklist.getByText('2 sagas', { exact: true }).waitFor();
  for (const address of addresses) {
    const owed = worklist.getByRole('listitem').filter({ has: page.locator(`a[href="${address}"]`) });
    await owed.getByText('1 seat', { exact: true }).waitFor();
    await owed.getByText(`Cancel seat was given up: ${WHY_SKIPPED}`).waitFor();
    await owed.getByRole('button', { name: 'Settle' }).click();
    await owed.getByLabel('What was done by hand, required').fill(HOW_SETTLED);
    await owed.getByRole('button', { name: 'Record as settled' }).click();
    await owed.waitFor({ state: 'detached' });
  }
  await worklist.getByText('Nothing is left to settle').waitFor();
  await page.locator('.head').getByText('No saga is stuck or parked.', { exact: true }).waitFor();

  // The record.
  await page.getByRole('link', { name: 'Record of actions' }).click();
  const record = page.getByRole('region', { name: 'Operator actions, newest first' });
  await record
    .getByRole('row', { name: new RegExp(`Settle .*${HOW_SETTLED}`) })
    .nth(1)
    .waitFor();
  await page.getByLabel('What was done').selectOption('Bulk start');
  await record.getByRole('row', { name: /admin-token:.*Bulk start.*The provider is back/ }).waitFor();
});
