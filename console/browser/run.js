/**
 * Tells stories, one after another, to one browser: `FILE STORY` on a line of stdin, `told: well` or `told: badly` after
 * what is to be said about it. SEATSAGA_URL, _TOKEN and _CHROMIUM say where.
 */
import { chromium } from 'playwright-core';
import { ARGUMENTS, lines, run } from './story.js';

const { SEATSAGA_URL: url = '', SEATSAGA_TOKEN: token = '', SEATSAGA_CHROMIUM: executablePath = '' } = process.env;
const browser = await chromium.launch({ executablePath, args: ARGUMENTS });

for await (const line of lines) {
  const [file, ...name] = line.split(' ');
  try {
    await import(`./${file}.js`);
    await run(name.join(' '), browser, { url, token });
    console.log('told: well');
  } catch (error) {
    console.log(error instanceof Error ? error.stack : error);
    console.log('told: badly');
  }
}
await browser.close();
