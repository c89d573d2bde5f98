import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../schema/schema.graphql',
  documents: ['src/**/*.graphql.ts'],
  emitLegacyCommonJSImports: false,
  generates: {
    'src/api/generated/': {
      preset: 'client',
      // The build puts them beside the console, so that a server of trusted documents runs them.
      presetConfig: { fragmentMasking: false, persistedDocuments: { hashAlgorithm: 'sha256' } },
      config: {
        // Every scalar is named here, or generating fails.
        strictScalars: true,
        scalars: { ID: 'string', UUID: 'string', DateTime: 'string', Date: 'string', Decimal: 'string' },
        enumsAsTypes: true,
        useTypeImports: true,
      },
    },
  },
};

export default config;
