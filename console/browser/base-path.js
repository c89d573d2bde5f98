import { book } from './bookings.js';
import { fail, story } from './story.js';

story('beneath a path the console books and follows, and GraphiQL runs', async (stage) => {
  const { page, context, url, open, query, becomeOperator } = stage;
  const base = new URL(url).pathname;
  /** @type {string[]} */ const outside = [];
  context.on('request', (request) => {
    const { protocol, pathname } = new URL(request.url());
    if (protocol.startsWith('http') && !pathname.startsWith(`${base}/`)) outside.push(request.url());
  });

  await open('/');
  if (page.url() !== `${url}/saga/test`) fail(`The first page is ${page.url()}.`);
  await page.getByRole('button', { name: 'Show me' }).click();
  await page.getByRole('heading', { name: 'Award miles failed. Everything was undone.' }).waitFor();
  const [graphiql] = await Promise.all([
    context.waitForEvent('page'),
    page.getByRole('link', { name: 'As GraphQL' }).click(),
  ]);
  await graphiql.waitForFunction(() => document.title.startsWith('Book · '));
  await graphiql.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await graphiql.getByRole('link', { name: 'Subscription' }).first().waitFor();
  const id = await book(query);
  const followed = `subscription { saga(correlationId: "${id}") { status } }`;
  await graphiql.goto(`${url}/graphql?${new URLSearchParams({ query: followed })}`);
  await graphiql.getByRole('button', { name: /^Execute/ }).click();
  await graphiql.locator('.result-window').getByText('"COMPLETED"').waitFor();
  await graphiql.close();

  await becomeOperator();
  await page.reload();
  await page.getByRole('link', { name: 'Sagas', exact: true }).click();
  await page.locator(`.saga-table a[href="${base}/saga/${id}"]`).click();
  await page.waitForURL(`${url}/saga/${id}`);
  await page.reload();
  await page.locator('.station').first().waitFor();
  await page.getByRole('link', { name: 'Scheduler' }).click();
  await page.getByText('release-expired-reservations').first().waitFor();
  if (outside.length > 0) fail(`Asked for outside of ${base}:\n${outside.join('\n')}`);
});
