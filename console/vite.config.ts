import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { runbooks } from './runbooks.ts';

/** Where `npm run dev` serves. What is built names its files relative to themselves: the server may be beneath a path. */
const DEV = '/console/';

const FOLLOW = '../clients/follow';

/** Whom `npm run dev` asks: the server that `make run` starts. */
const SERVER = process.env.SEATSAGA_URL ?? 'http://127.0.0.1:8000';

/**
 * The theme's script blocks, so that no page flashes, and is no module: it is named in <head> before all else.
 * It goes out as it is, under a name with its hash.
 */
function themeScript(): Plugin {
  const source = readFileSync(new URL('src/shell/theme-first.js', import.meta.url), 'utf8');
  const fileName = `assets/theme-${createHash('sha256').update(source).digest('base64url').slice(0, 8)}.js`;
  return {
    name: 'theme-script',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName, source });
    },
    transformIndexHtml: (_html, { server }) => [
      {
        tag: 'script',
        attrs: { src: server ? `${DEV}src/shell/theme-first.js` : `./${fileName}` },
        injectTo: 'head-prepend',
      },
    ],
  };
}

/** GraphiQL's style brings its fonts as data:, which the policy refuses; Monaco's own style brings the icons as a file. */
function withoutInlinedFonts(): Plugin {
  return {
    name: 'without-inlined-fonts',
    enforce: 'pre',
    transform: {
      filter: { id: /graphiql\/dist\/style\.css/ },
      handler: (code) => code.replace(/@font-face\s*\{[^}]*\}/g, ''),
    },
  };
}

export default defineConfig(({ command }) => ({
  base: command === 'serve' ? DEV : './',
  // As other frontends use it, from its source: nothing has to be built before the console is.
  resolve: { alias: { '@seatsaga/follow': fileURLToPath(new URL(`${FOLLOW}/src/index.ts`, import.meta.url)) } },
  plugins: [react(), themeScript(), withoutInlinedFonts(), runbooks()],
  build: {
    outDir: '../app/console/static',
    emptyOutDir: true,
    target: ['chrome123', 'firefox120', 'safari17.5'], // light-dark() and what came with it
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 4_096, // Monaco is what it is, and is loaded on its own page alone
    assetsInlineLimit: 0, // the policy allows no data: but images
    rolldownOptions: {
      input: { index: 'index.html', graphql: 'graphql.html' },
      checks: { moduleLevelDirective: false }, // "use no memo" in GraphiQL's packages is for a compiler that has run
    },
  },
  worker: { format: 'es' },
  server: {
    port: 5173,
    fs: { allow: ['.', FOLLOW] },
    proxy: {
      // The documents are ours, the API the server's.
      '/saga': { target: SERVER, bypass: () => `${DEV}index.html` },
      '/graphql': { target: SERVER, ws: true, bypass: (request) => graphiql(request.headers.accept) },
      '/admin': SERVER,
    },
  },
}));

function graphiql(accept: string | undefined): string | undefined {
  return accept?.includes('text/html') ? `${DEV}graphql.html` : undefined;
}
