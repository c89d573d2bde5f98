/** node browser/run.js FILE STORY: run one story of one file; SEATSAGA_URL, _TOKEN and _CHROMIUM say where. */
import { fail, run } from './story.js';

const [file = fail('Which file?'), name = fail('Which story?')] = process.argv.slice(2);
const { SEATSAGA_URL: url = '', SEATSAGA_TOKEN: token = '', SEATSAGA_CHROMIUM: chromium = '' } = process.env;

await import(`./${file}.js`);
try {
  await run(name, { url, token, chromium });
} catch (error) {
  console.log(error instanceof Error ? error.stack : error);
  process.exitCode = 1;
}
process.stdin.destroy();
