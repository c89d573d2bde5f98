import { Link, useLocation } from 'wouter';
import { type Caller, may, type Scope, useViewer } from '../api/viewer';
import { at } from '../base-path';
import { inNeed, useNeeds } from '../operator/needs';
import { count } from '../pieces/format';
import { Icon, type IconName } from '../pieces/icon';
import { LinkState } from './link-state';
import { nextTheme, useTheme } from './theme';
import './bar.css';

interface Place {
  readonly href: string;
  readonly name: string;
  readonly icon: IconName;
  /** One of them is needed to see it; none: everybody sees it. */
  readonly scopes: readonly Scope[];
  isHere(path: string): boolean;
}

const READ: readonly Scope[] = ['sagas:read'];
const PLACES: readonly Place[] = [
  {
    href: '/saga/incidents',
    name: 'Incidents',
    icon: 'stuck',
    scopes: READ,
    isHere: (path) => /^\/saga\/(incidents|bulk|actions|runbook)(\/|$)/.test(path),
  },
  {
    href: '/saga/overview',
    name: 'Overview',
    icon: 'gauge',
    scopes: READ,
    isHere: (path) => path === '/saga/overview',
  },
  { href: '/saga', name: 'Sagas', icon: 'list', scopes: [], isHere: isSagas },
  { href: '/saga/test', name: 'Test', icon: 'line', scopes: [], isHere: (path) => /^\/saga\/test(\/|$)/.test(path) },
  {
    href: '/saga/scheduler',
    name: 'Scheduler',
    icon: 'clock',
    scopes: ['sagas:read', 'jobs:write'],
    isHere: (path) => path === '/saga/scheduler',
  },
];

/** The list, and each saga of it. */
function isSagas(path: string): boolean {
  return path === '/saga' || !PLACES.some((place) => place.name !== 'Sagas' && place.isHere(path));
}

/** The top bar; on a phone its navigation is at the foot. */
export function Bar() {
  const [path] = useLocation();
  const viewer = useViewer();
  return (
    <header className="bar">
      <Link className="mark" href={may(viewer, READ) ? '/saga/incidents' : '/saga/test'}>
        <svg viewBox="0 0 26 18" aria-hidden="true">
          <path d="M2 4h15.5a5 5 0 0 1 0 10H9" />
          <circle cx="5" cy="4" r="2.6" fill="currentColor" stroke="none" />
          <path d="m11.5 10.5-3.5 3.5 3.5 3.5" strokeWidth="1.8" />
        </svg>
        seatsaga
      </Link>
      <nav className="nav" aria-label="Main">
        {PLACES.map((place) => (
          <PlaceLink key={place.href} place={place} isHere={place.isHere(path)} viewer={viewer} />
        ))}
        <a className="desk" href={at('/graphql')}>
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

/** Not for customers where it is an operators' place. A visitor without a token may give an operator's there. */
function PlaceLink({ place, isHere, viewer }: { place: Place; isHere: boolean; viewer: Caller | null }) {
  const { href, name, icon, scopes } = place;
  const isOpen = scopes.length === 0 || viewer?.role === 'ANONYMOUS' || may(viewer, scopes);
  if (!isOpen && viewer !== null) return null;
  return (
    <Link href={href} aria-current={isHere ? 'page' : undefined} data-unknown={!isOpen || undefined}>
      <Icon name={icon} />
      {name}
      {name === 'Incidents' && <NeedsCount />}
    </Link>
  );
}

/** How many sagas need a person. */
function NeedsCount() {
  const needs = useNeeds();
  const number = needs === null ? 0 : inNeed(needs);
  if (number === 0) return null;
  return (
    <b className="count stuck">
      {count(number)}
      <span className="vh"> need you</span>
    </b>
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
