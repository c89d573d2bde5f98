import { story } from './story.js';

story(
  'a refusal and a limit are said in words, and the same request is sent again in time',
  async ({ page, open, expectErrors }) => {
    expectErrors(/429/);
    await open('/saga/test');
    const run = page.locator('.go [aria-disabled="false"]', { hasText: 'Run success' });
    await run.click();
    await page.getByText('Set the pause to 0 and run success').waitFor();

    await page.getByRole('slider').fill('0');
    await run.click();
    await page.getByText('LIMIT_EXCEEDED').waitFor();
    const again = page.getByRole('button', { name: /^Send again in \d/ });
    await again.waitFor();
    const id = new URL(page.url()).searchParams.get('id');
    await page.getByRole('button', { name: 'Send again', exact: true }).click();
    await page
      .locator('#sentence')
      .getByText(/^Booked: /)
      .waitFor();
    if (new URL(page.url()).searchParams.get('id') !== id) throw new Error('It was sent under another ID.');
  },
);
