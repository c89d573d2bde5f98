import { story } from './story.js';

const VIEWS = {
  '/saga/test': 'Test console',
  '/saga/test/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee': 'Test console',
  '/saga': 'Sagas',
  '/saga/0198f3aa-51c7-7e20-b4d9-6f02a81c35ee': 'Saga',
  '/saga/scheduler': 'Scheduler',
  '/saga/overview': 'Overview',
};

story('every view is there at its own address', async ({ page, open, becomeOperator }) => {
  await becomeOperator();
  for (const [path, heading] of Object.entries(VIEWS)) {
    await open(path);
    await page.getByRole('heading', { level: 1, name: heading }).waitFor();
    await page.getByText('Live', { exact: true }).waitFor();
  }
});
