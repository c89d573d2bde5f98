import type { ReactNode } from 'react';
import { useEffect, useState } from 'react';
import type { Trouble } from '../api/client';
import { Icon } from './icon';
import './notices.css';

/** What is shown is not here yet is said only when that takes longer than this. */
const PATIENCE_MS = 200;

/** What is empty, why, and one thing to do. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <svg
        width="48"
        height="24"
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
        strokeLinecap="round"
        aria-hidden="true"
      >
        <use href="#icon-nothing" />
      </svg>
      <strong>{title}</strong>
      {children !== undefined && <span>{children}</span>}
      {action}
    </div>
  );
}

/** A placeholder with the size of the content, and a text that names it; `rows` of 26 pixels each. */
export function Loading({ what, rows = 3 }: { what: string; rows?: number }) {
  const [isLate, setIsLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setIsLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="pad bones" role="status" data-late={isLate || undefined}>
      <span className="quiet">{isLate ? `Loading ${what}` : '\u00a0'}</span>
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} />
      ))}
    </div>
  );
}

type Tone = 'wait' | 'error' | 'done' | 'stuck';
const ICONS = { wait: 'plug', error: 'failed', done: 'completed', stuck: 'stuck' } as const;

/** A banner across the page: what happened, then what it means, and what can be done. */
export function Banner({
  tone,
  title,
  children,
  action,
}: {
  tone: Tone;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="banner" data-tone={tone} role={tone === 'error' ? 'alert' : 'status'}>
      <Icon name={ICONS[tone]} />
      <p>
        <strong>{title}</strong> {children !== undefined && <span>{children}</span>}
      </p>
      {action}
    </div>
  );
}

/** What went wrong with a request: what it means for the person, what to do, and the id under which the log has it. */
export function Failure({ trouble, meaning, onRetry }: { trouble: Trouble; meaning: string; onRetry?: () => void }) {
  return (
    <Banner
      tone="error"
      title={trouble.message}
      action={
        onRetry && (
          <button type="button" className="btn small" onClick={onRetry}>
            Try again
          </button>
        )
      }
    >
      {meaning}
      {trouble.logId !== null && (
        <>
          {' '}
          Its log knows this as <span className="mono">{trouble.logId}</span>.
        </>
      )}
    </Banner>
  );
}
