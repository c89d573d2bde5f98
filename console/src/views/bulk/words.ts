import type { BulkActionKind } from '../../api/generated/graphql';
import { plainName } from '../../saga/words';

const VERBS: Readonly<Record<BulkActionKind, string>> = {
  RETRY: 'Retry',
  SKIP: 'Skip',
  CANCEL: 'Cancel',
  UNPARK: 'Unpark',
};

/** What a bulk action does to each saga; also of a kind that only a newer release knows. */
export function verbOf(kind: BulkActionKind): string {
  return Object.hasOwn(VERBS, kind) ? VERBS[kind] : plainName(kind);
}

/** "status STUCK, stuck at AUTHORIZE_PAYMENT": a filter as it was given. */
export function filterSaid(filter: string): string {
  let parts: unknown;
  try {
    parts = JSON.parse(filter);
  } catch {
    return filter;
  }
  if (typeof parts !== 'object' || parts === null) return filter;
  return Object.entries(parts)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${spaced(name)} ${Array.isArray(value) ? value.join(' or ') : String(value)}`)
    .join(', ');
}

function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
