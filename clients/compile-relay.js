/** What a bundler with Relay's plugin does: the graphql tags in build/relay.js become imports of their artifacts. */

import { transformFileSync } from '@babel/core';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('build', import.meta.url));

/** Node wants a file's whole name, where bundlers find it without. */
const wholeNames = () => ({
  visitor: {
    Program: {
      exit(program) {
        for (const { type, source } of program.node.body) {
          if (type === 'ImportDeclaration' && source.value.endsWith('.graphql')) source.value += '.js';
        }
      },
    },
  },
});

const artifacts = readdirSync(`${BUILD}/__generated__`).map((name) => `__generated__/${name}`);
for (const name of ['relay.js', ...artifacts]) {
  const file = `${BUILD}/${name}`;
  const { code } = transformFileSync(file, { plugins: ['relay', wholeNames], configFile: false, babelrc: false });
  writeFileSync(file, code);
}
