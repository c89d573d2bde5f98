import { fail, story } from './story.js';

story('nobody pays in time, and the seats are free again', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await page.locator('[data-number="20A"][aria-disabled="false"]').click();
  await hold(page);
  await page.getByLabel('20A, held for you, passenger 1').waitFor();
  await isLapsed(page);
  await page.getByLabel('20A, free').or(page.getByLabel('20A, chosen, passenger 1')).waitFor();
  await page.getByRole('log').getByText('Hold lapsed').waitFor();
});

story('nobody answers the bank in time, and its page closes', async ({ page, open }) => {
  await open('/saga/test?delay=0&when=later');
  await hold(page);
  await page.getByRole('form', { name: 'Pay for the held seats' }).getByRole('combobox').selectOption({
    label: 'Asks its holder',
  });
  await page.getByRole('button', { name: /^Pay / }).click();
  await page.frameLocator('dialog iframe').getByRole('button', { name: 'Approve' }).waitFor();
  await isLapsed(page);
  if (await page.locator('dialog').isVisible()) fail('The bank’s page is still open.');
});

/** @param {import('playwright-core').Page} page */
async function hold(page) {
  await page.locator('.go [aria-disabled="false"]', { hasText: 'Hold the seats' }).click();
  await page.locator('.time-left .countdown').waitFor();
}

/** @param {import('playwright-core').Page} page */
async function isLapsed(page) {
  await page.locator('.told').getByText('The time is up: the hold lapsed.').waitFor();
  await page
    .locator('.told')
    .getByText(/^The seats are free again\. .*othing charged\.$/)
    .waitFor();
  await page.getByRole('heading', { name: 'The hold lapsed. Everything was undone.' }).waitFor();
}
