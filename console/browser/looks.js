import { fail } from './story.js';

/**
 * The page as it stands is for everyone, in both themes, and has nothing to scroll sideways.
 *
 * @param {import('./story.js').Stage} stage
 */
export async function isForEveryone({ page, expectAccessible }) {
  // Of the rules, this one judges colours: the others say of the dark theme what they said of the light one.
  for (const [colorScheme, ...rules] of /** @type {const} */ ([['light'], ['dark', 'color-contrast']])) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(...rules);
  }
  const width = page.viewportSize()?.width ?? 0;
  for (const narrower of [width, 390, 320].filter((each) => each <= width)) {
    await page.setViewportSize({ width: narrower, height: 900 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) fail(`At ${narrower} the page is ${overflow} pixels too wide.`);
  }
}
