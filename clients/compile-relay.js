/** Replaces the graphql tags in Relay's files of build by imports of their artifacts, as a bundler with Relay's plugin does. */

import { transformFileSync } from '@babel/core';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('build', import.meta.url));

/** Node needs the complete file name; bundlers find the file without its extension. */
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
for (const name of ['relay.js', 'day-relay.js', ...artifacts]) {
  const file = `${BUILD}/${name}`;
  const { code } = transformFileSync(file, { plugins: ['relay', wholeNames], configFile: false, babelrc: false });
  writeFileSync(file, code);
}
