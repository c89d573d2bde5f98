/** Beside every built file that text compresses: its .br and .gz, as small as they get, where that is worth it. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import zlib from 'node:zlib';

const folder = new URL('../app/console/static/', import.meta.url).pathname;
const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);
const BYTES_MIN = 1_024;

/** @param {string} path */
async function compress(path) {
  const plain = await readFile(path);
  if (plain.length < BYTES_MIN) return;
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 11, [zlib.constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  const [br, gz] = await Promise.all([brotli(plain, { params }), gzip(plain, { level: 9 })]);
  await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gz)]);
}

const files = await readdir(folder, { recursive: true });
await Promise.all(files.filter((name) => /\.(js|css|svg|ttf)$/.test(name)).map((name) => compress(join(folder, name))));
