import page from 'virtual:runbooks';
import { createElement, type ReactNode, useEffect } from 'react';
import { Panel } from '../../pieces/panel';
import { useTitle } from '../../shell/route-focus';
import type { Child } from './runbooks';
import './runbook.css';

/** What to do about each incident and each alert. It comes with the console, so it shows whatever else is down. */
export function RunbookView() {
  useTitle('Runbooks');
  useEffect(() => {
    // The section exists only now: going to the address again finds it, and marks it as the target.
    const frame = requestAnimationFrame(() => {
      if (location.hash !== '') location.replace(location.href);
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  return (
    <>
      <div className="head">
        <div>
          <h1>Runbooks</h1>
          {page.lead.map(drawn)}
        </div>
      </div>
      <nav className="panel runbook-index" aria-label="Runbooks">
        {page.groups.map((group) => (
          <div key={group.id}>
            <h2>{group.title}</h2>
            {group.lead.map(drawn)}
            <ul>
              {group.sections.map((section) => (
                <li key={section.id}>
                  <a href={`#${section.id}`}>{section.title}</a>
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      {page.groups.flatMap((group) =>
        group.sections.map((section) => (
          <Panel key={section.id} id={section.id} className="runbook" title={section.title}>
            {section.body.map(drawn)}
          </Panel>
        )),
      )}
    </>
  );
}

function drawn(child: Child, place: number): ReactNode {
  if (typeof child === 'string') return child;
  const inner = child.children.map(drawn);
  if (child.tag === 'a') return <Reference key={place} href={child.href ?? ''} said={inner} />;
  return createElement(child.tag, { key: place }, ...inner);
}

/** A link within this page or to the network. Other pages of the docs are not served: they are named. */
function Reference({ href, said }: { href: string; said: ReactNode[] }) {
  if (href.startsWith('#') || /^https?:/.test(href)) return <a href={href}>{said}</a>;
  return (
    <>
      {said} (<code>docs/{href.split('#')[0]}</code>)
    </>
  );
}
