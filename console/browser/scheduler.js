import { isForEveryone } from './looks.js';
import { story } from './story.js';

story('while the job that frees lapsed holds is paused, the overview says so loudly', async (stage) => {
  const { page, open, becomeOperator } = stage;
  await becomeOperator();
  await open('/saga/scheduler');
  const job = page.getByRole('article', { name: 'Free lapsed holds' });
  const opener = job.getByRole('button', { name: 'Pause' });
  await opener.click();
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => document.activeElement?.textContent === 'Pause');
  await opener.click();
  await page.keyboard.press('Enter');
  await job.getByText('Say why').waitFor();
  await isForEveryone(stage);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.keyboard.type('Repairs.');
  await page.keyboard.press('Enter');
  await job.getByText('Paused', { exact: true }).waitFor();
  await job.getByText('Lapsed holds are not freed.').waitFor();
  await isForEveryone(stage);
  await page.setViewportSize({ width: 1440, height: 1000 });

  await page.getByRole('link', { name: 'Overview' }).click();
  const banner = page.getByRole('alert').filter({ hasText: 'Lapsed holds are not freed.' });
  await banner.waitFor();
  await page.locator('.figs').waitFor();
  await isForEveryone(stage);
  await banner.getByRole('button', { name: 'Resume' }).click();
  await banner.waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Scheduler' }).click();
  await job.getByRole('button', { name: 'Pause' }).waitFor();
});

story('a job is run now, and says what it did', async ({ page, open, becomeOperator }) => {
  await becomeOperator();
  await open('/saga/scheduler');
  const job = page.getByRole('article', { name: 'Prune history' });
  await job.getByRole('button', { name: 'Run now' }).click();
  await job.getByText(/^Ran: nothing to do, took/).waitFor();
  await job.getByRole('button', { name: 'Prune history' }).click();
  const runs = page.getByRole('region', { name: 'Runs of Prune history' });
  await runs.getByText('1 run, 0 failed').waitFor();
  await runs.getByText('Done').waitFor();
  await page.reload();
  await runs.getByText('1 run, 0 failed').waitFor();
});

story(
  'an interval is changed in its row, and refused out of range',
  async ({ page, open, becomeOperator, expectErrors }) => {
    await becomeOperator();
    expectErrors(/422/);
    await open('/saga/scheduler');
    const job = page.getByRole('article', { name: 'Take over orphaned sagas' });
    const opener = job.getByRole('button', { name: 'Interval' });
    await opener.click();
    await page.keyboard.type('0');
    await page.keyboard.press('Enter');
    await job.getByText('intervalSeconds must be 1 to 86400.').waitFor();
    await page.keyboard.type('soon');
    await page.keyboard.press('Enter');
    await job.getByText('Give a whole number of seconds.').waitFor();
    await page.keyboard.press('Escape');
    await job.getByText('every 30 s').waitFor();

    await opener.click();
    await page.keyboard.type('45');
    await page.keyboard.press('Enter');
    await job.getByText('every 45 s', { exact: true }).waitFor();
    await job.getByText('Runs every 45 s from now on.').waitFor();
    await page.waitForFunction(() => document.activeElement?.textContent === 'Interval');
  },
);
