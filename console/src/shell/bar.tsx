import { Link, useLocation } from 'wouter';
import { Icon, type IconName } from '../pieces/icon';
import { LinkState } from './link-state';
import { nextTheme, useTheme } from './theme';
import './bar.css';

interface Place {
  readonly href: string;
  readonly name: string;
  readonly icon: IconName;
  isHere(path: string): boolean;
}

const PLACES: readonly Place[] = [
  { href: '/saga/overview', name: 'Overview', icon: 'gauge', isHere: (path) => path === '/saga/overview' },
  { href: '/saga', name: 'Sagas', icon: 'list', isHere: isSagas },
  { href: '/saga/test', name: 'Test', icon: 'line', isHere: (path) => /^\/saga\/test(\/|$)/.test(path) },
  { href: '/saga/scheduler', name: 'Scheduler', icon: 'clock', isHere: (path) => path === '/saga/scheduler' },
];

/** The list, and each saga of it. */
function isSagas(path: string): boolean {
  return path === '/saga' || !PLACES.some((place) => place.name !== 'Sagas' && place.isHere(path));
}

/** The top bar; on a phone its navigation is at the foot. */
export function Bar() {
  const [path] = useLocation();
  return (
    <header className="bar">
      <Link className="mark" href="/saga/overview">
        <svg viewBox="0 0 26 18" aria-hidden="true">
          <path d="M2 4h15.5a5 5 0 0 1 0 10H9" />
          <circle cx="5" cy="4" r="2.6" fill="currentColor" stroke="none" />
          <path d="m11.5 10.5-3.5 3.5 3.5 3.5" strokeWidth="1.8" />
        </svg>
        seatsaga
      </Link>
      <nav className="nav" aria-label="Main">
        {PLACES.map((place) => (
          <Link key={place.href} href={place.href} aria-current={place.isHere(path) ? 'page' : undefined}>
            <Icon name={place.icon} />
            {place.name}
          </Link>
        ))}
        <a className="desk" href="/graphql">
          GraphiQL
        </a>
      </nav>
      <div className="bar-end">
        <LinkState />
        <ThemeButton />
      </div>
    </header>
  );
}

function ThemeButton() {
  const theme = useTheme();
  return (
    <button
      type="button"
      className="icon-btn"
      onClick={nextTheme}
      aria-label={`Theme: ${theme}. Change it`}
      title={`Theme: ${theme}`}
    >
      <Icon name="theme" />
    </button>
  );
}
