import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import MarkdownIt, { type Token } from 'markdown-it';
import type { Plugin } from 'vite';
import type { Child, Runbooks } from './src/views/runbook/runbooks';

const SOURCE = fileURLToPath(new URL('../docs/runbooks.md', import.meta.url));
const MODULE = 'virtual:runbooks';

/** docs/runbooks.md as data, read when the console is built: the Markdown is the one source, and no parser is served. */
export function runbooks(): Plugin {
  return {
    name: 'runbooks',
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : null),
    load(id) {
      if (id !== `\0${MODULE}`) return null;
      this.addWatchFile(SOURCE);
      return `export default ${JSON.stringify(parsed(readFileSync(SOURCE, 'utf8')))}`;
    },
  };
}

/** The page by its headings: groups at ##, sections at ###. */
export function parsed(markdown: string): Runbooks {
  const page: Runbooks = { lead: [], groups: [] };
  for (const child of tree(markdown)) {
    const group = page.groups.at(-1);
    const section = group?.sections.at(-1);
    if (typeof child === 'string' || child.tag === 'h1') continue;
    const title = textOf(child);
    if (child.tag === 'h2') page.groups.push({ title, id: anchorOf(title), lead: [], sections: [] });
    else if (child.tag === 'h3') group?.sections.push({ title, id: anchorOf(title), body: [] });
    else (section?.body ?? group?.lead ?? page.lead).push(child);
  }
  return page;
}

/** As code hosts make it of a heading; tests/app/test_dashboard_and_alerts.py says the same. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function textOf(child: Child): string {
  return typeof child === 'string' ? child : child.children.map(textOf).join('');
}

function tree(markdown: string): Child[] {
  const top: Child[] = [];
  const open: Child[][] = [top];
  const put = (child: Child): void => {
    open.at(-1)?.push(child);
  };
  const walk = (tokens: readonly Token[]): void => {
    for (const token of tokens) {
      if (token.type === 'inline') walk(token.children ?? []);
      else if (token.nesting === -1) open.pop();
      else if (token.nesting === 1) {
        const href = token.attrGet('href');
        const children: Child[] = [];
        // In a tight list, an item's paragraph is only its text.
        put({ tag: token.hidden ? 'span' : token.tag, children, ...(href !== null && { href: String(href) }) });
        open.push(children);
      } else if (token.type === 'softbreak') put(' ');
      else if (token.tag === 'code') put({ tag: token.type === 'fence' ? 'pre' : 'code', children: [token.content] });
      else put(token.content);
    }
  };
  walk(new MarkdownIt({ html: false }).parse(markdown, {}));
  return top;
}
