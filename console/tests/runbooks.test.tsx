import page from 'virtual:runbooks';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, it, vi } from 'vitest';
import { parsed } from '../runbooks';

// The view listens for Back; nothing goes back here.
vi.stubGlobal('addEventListener', () => undefined);
const { RunbookView } = await import('../src/views/runbook/view');
const html = renderToStaticMarkup(<RunbookView />);
const ids = [...html.matchAll(/ id="([a-z-]+)"/g)].map(([, id]) => id);

describe('the runbooks', () => {
  it('have an anchor for each section, and one for each alert', () => {
    const sections = page.groups.flatMap((group) => group.sections);
    expect(sections.length).toBeGreaterThan(25);
    expect(ids).toEqual(expect.arrayContaining(sections.map((section) => section.id)));
    expect(ids).toContain('seatsagasagasstuck');
    expect(ids).toContain('the-payment-is-not-in-the-providers-books');
  });

  it('link only to sections that there are, and name the other pages of the docs', () => {
    for (const [, anchor] of html.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(anchor);
    expect(html.match(/href="(?!#|https?:)/)).toBeNull();
    expect(html).toContain('(<code>docs/operations.md</code>)');
  });

  it('say all that the Markdown says, without its marks', () => {
    expect(html).toContain('<strong>Customers:</strong>');
    expect(html).not.toMatch(/\*\*|\]\(|(^|>)#/);
  });

  it('keep what looks like HTML as text', () => {
    const [group] = parsed('## One\n\n### Two\n\nA <img src=x> `<b>`.\n').groups;
    expect(group?.sections[0]?.body).toEqual([
      { tag: 'p', children: ['A <img src=x> ', { tag: 'code', children: ['<b>'] }, '.'] },
    ]);
  });
});
