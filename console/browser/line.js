import { book, stepsOf } from './bookings.js';
import { fail, story } from './story.js';

story('a booking goes out to the end, and nothing comes back', async ({ page, open, query }) => {
  await open(`/saga/${await book(query)}`);
  await page.getByRole('heading', { name: /^Booked: [A-Z0-9]{6}/ }).waitFor();
  const steps = await stepsOf(query, 'BOOK_AND_EARN');
  await isLine(
    page,
    steps.map(() => 'completed'),
    steps.map(() => 'none'),
    null,
  );
});

story('a failure at each step turns the line round there', async ({ page, open, query }) => {
  for (const [definition, points] of /** @type {const} */ ([
    ['BOOK_AND_EARN', 0],
    ['BOOK_AND_REDEEM', 1_000],
  ])) {
    const steps = await stepsOf(query, definition);
    for (const [at, { name }] of steps.entries()) {
      await open(`/saga/${await book(query, { points, simulate: { failAt: [name] } })}`);
      await page.getByRole('heading', { name: /failed\. (Everything was|Nothing had to be) undone\./ }).waitFor();
      await isLine(
        page,
        steps.map((_, index) => (index < at ? 'completed' : index === at ? 'failed' : 'pending')),
        steps.map((_, index) => (index < at ? 'compensated' : 'none')),
        at,
      );
    }
  }
});

story('at most one rail moves at any time, and it moves where the saga is', async ({ page, open, query }) => {
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  const id = await book(query, { simulate: { failAt: ['AWARD_MILES'], delayMs: 1_500 } });
  await open(`/saga/${id}`);
  await page.locator('.station').first().waitFor();
  await page.evaluate(() => {
    const seen = /** @type {any} */ (globalThis);
    seen.live = [];
    const look = () => {
      seen.live.push([...document.querySelectorAll('.rail[data-r=live]')].map((rail) => rail.className));
      requestAnimationFrame(look);
    };
    look();
  });
  await page.getByRole('heading', { name: 'Award miles failed. Everything was undone.' }).waitFor();
  const live = /** @type {string[][]} */ (await page.evaluate(() => /** @type {any} */ (globalThis).live));
  if (live.some((rails) => rails.length > 1)) fail('Two rails moved at once.');
  const ways = new Set(live.flat());
  if (!ways.has('rail out') || !ways.has('rail back')) fail(`Only ${[...ways].join()} moved.`);
});

story('a step whose answer was lost says which try comes next', async ({ page, open, query }) => {
  const id = await book(query, { simulate: { loseAnswerAt: ['AUTHORIZE_PAYMENT'], delayMs: 200 } });
  await open(`/saga/${id}`);
  await page.getByRole('heading', { name: /^Booked/ }).waitFor();
  await page.locator('[data-step=AUTHORIZE_PAYMENT] .said').getByText('try 2').waitFor();
});

story('what is stuck shouts, and says what waits for it', async ({ page, open, query, expectAccessible }) => {
  const simulate = { failAt: ['CONFIRM_BOOKING'], failCompensationAt: ['REFUND_LOYALTY_POINTS'] };
  await open(`/saga/${await book(query, { points: 1_000, simulate })}`);
  await page.getByRole('heading', { name: 'Refund loyalty points keeps failing.' }).waitFor({ timeout: 30_000 });
  await isLine(page, ['completed', 'completed', 'completed', 'failed'], ['pending', 'stuck', 'compensated', 'none'], 3);
  await page.getByText('waits for Refund loyalty points').waitFor();
  await page.getByText(/^stuck after \d+ tries$/).waitFor();
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible();
  }
});

story('a cancelled saga turns round where it had come to', async ({ page, open, query }) => {
  const id = await book(query, { simulate: { delayMs: 3_000 } });
  await open(`/saga/${id}`);
  await page.locator('[data-step=RESERVE_SEAT] .node.out[data-s=completed]').waitFor();
  await query(`mutation { cancelSaga(input: {correlationId: "${id}"}) { errors { ... on UserError { message } } } }`);
  await page.getByRole('heading', { name: 'Cancelled. Everything was undone.' }).waitFor();
  // The step that pauses has begun: it is where the saga turns round.
  const [, , ...later] = await stepsOf(query, 'BOOK_AND_EARN');
  const back = ['compensated', 'none', ...later.map(() => 'none')];
  await isLine(page, ['completed', 'failed', ...later.map(() => 'pending')], back, 1);
});

story('a cancellation of a booking has its own stations, and no way back', async ({ page, open, query }) => {
  const booked = await book(query);
  const { saga } = await query(`{ saga(correlationId: "${booked}", waitSeconds: 10) { booking { reference } } }`);
  const { cancelBooking } = await query(
    `mutation { cancelBooking(input: {reference: "${saga.booking.reference}"}) { saga { correlationId } } }`,
  );
  await open(`/saga/${cancelBooking.saga.correlationId}`);
  await page.getByRole('heading', { name: `Booking ${saga.booking.reference} is cancelled.` }).waitFor();
  await isLine(page, ['completed', 'completed', 'completed', 'completed'], [], null);
});

story(
  'on a phone the line stands upright, and fits',
  async ({ page, open, query }) => {
    await open(`/saga/${await book(query, { points: 1_000, simulate: { failAt: ['PROCESS_PAYMENT'] } })}`);
    await page.getByRole('heading', { name: /Everything was undone/ }).waitFor();
    const boxes = await Promise.all((await page.locator('.station').all()).map((station) => station.boundingBox()));
    const tops = boxes.map((box) => box?.y ?? fail('A station is not drawn.'));
    if (tops.some((top, index) => index > 0 && top <= (tops[index - 1] ?? 0))) fail(`The stations stand at ${tops}.`);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) fail(`The page is ${overflow} pixels too wide.`);
  },
  { width: 390, height: 800, isTouch: true },
);

/**
 * @param {import('playwright-core').Page} page
 * @param {string[]} out - The states above, in order.
 * @param {string[]} back - Those beneath.
 * @param {number | null} turn - Where it turns round.
 */
async function isLine(page, out, back, turn) {
  const seen = await page.locator('.station').evaluateAll((stations) => ({
    out: stations.map((station) => station.querySelector('.node.out')?.getAttribute('data-s')),
    back: stations.flatMap((station) => station.querySelector('.node.back')?.getAttribute('data-s') ?? []),
    turn: stations.findIndex((station) => station.hasAttribute('data-turn')),
  }));
  const expected = { out, back, turn: turn ?? -1 };
  if (JSON.stringify(seen) !== JSON.stringify(expected)) {
    fail(`The line was ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}.`);
  }
}
