// Writes src/cache/generated.ts from ../schema/schema.graphql: what a cache must know of the types.
import { readFileSync, writeFileSync } from 'node:fs';
import { buildSchema, isAbstractType, isObjectType } from 'graphql';

const here = new URL('.', import.meta.url);
const schema = buildSchema(readFileSync(new URL('../schema/schema.graphql', here), 'utf-8'));
const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
const values = types.filter((type) => isObjectType(type) && !roots.includes(type) && !('id' in type.getFields()));
const possible = types
  .filter(isAbstractType)
  .map((type) => [type.name, schema.getPossibleTypes(type).map(({ name }) => name)]);

const sorted = (names) => [...names].sort();
const listed = (names) => `[\n${sorted(names).map((name) => `    '${name}',\n`).join('')}  ]`;
writeFileSync(
  new URL('src/cache/generated.ts', here),
  `// Generated from schema/schema.graphql: node generate-cache.js

/** Object types without an id: each belongs to the object that holds it. */
export const valueTypes: string[] = ${listed(values.map(({ name }) => name)).replaceAll('    ', '  ').replace('  ]', ']')};

/** The members of each interface and union. */
export const possibleTypes: Record<string, string[]> = {
${sorted(possible.map(([name]) => name))
  .map((name) => `  ${name}: ${listed(Object.fromEntries(possible)[name])},\n`)
  .join('')}};
`,
);
