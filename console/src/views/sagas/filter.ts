import { useCallback, useMemo } from 'react';
import { useSearchParams } from 'wouter';
import { useHistoryState } from 'wouter/use-browser-location';
import { serverNow } from '../../api/clock';
import type { SagaDefinitionName, SagaFilter, SagaStatus, StepName } from '../../api/generated/graphql';
import { DEFINITIONS, STATUSES } from '../../saga/words';

/** How far back; `between` is told by `from` and `to`. */
export const WINDOWS = {
  '15m': { name: 'Last 15 minutes', milliseconds: 15 * 60_000 },
  '1h': { name: 'Last hour', milliseconds: 3_600_000 },
  '24h': { name: 'Last 24 hours', milliseconds: 86_400_000 },
  '7d': { name: 'Last 7 days', milliseconds: 7 * 86_400_000 },
  any: { name: 'Any time', milliseconds: null },
  between: { name: 'Between', milliseconds: null },
} as const;
export type Window = keyof typeof WINDOWS;
export const ORDERS = {
  newest: { name: 'Newest first', value: 'NEWEST_FIRST' },
  oldest: { name: 'Oldest first', value: 'OLDEST_FIRST' },
  stuck: { name: 'Longest stuck first', value: 'LONGEST_STUCK_FIRST' },
} as const;
export type Order = keyof typeof ORDERS;
export const WINDOW_DEFAULT: Window = '24h';

/** The filter as in the URL; an unset part is an empty text. */
export interface Asked {
  readonly q: string;
  readonly status: SagaStatus | '';
  readonly definition: SagaDefinitionName | '';
  readonly failed: StepName | '';
  /** The code of the failure, or of what a stuck or parked saga is stuck with. */
  readonly code: string;
  /** The step at which it is stuck. */
  readonly at: StepName | '';
  /** Only the code that a stuck or parked saga is stuck with: with `at`, an incident. */
  readonly with: string;
  /** `yes`: something was given up and is not settled yet. */
  readonly unsettled: 'yes' | '';
  readonly order: Order;
  readonly flight: string;
  readonly member: string;
  readonly window: Window;
  /** Instants, so that a shared address means the same everywhere. */
  readonly from: string;
  readonly to: string;
  /** How many rows a page has. */
  readonly rows: number;
  /** The cursor before the page's first row; empty for the first page. */
  readonly after: string;
}

/** How many rows a page may have; the server gives at most 100. */
export const PAGE_ROWS = [25, 50, 100] as const;

/** The cursors of the pages before this one, nearest last. They go with the entry of the browser's history. */
type Trail = readonly string[];

export interface AskedAndChange {
  readonly asked: Asked;
  /** Another filter begins with its first page. */
  readonly change: (changes: Partial<Asked>) => void;
  /** To the page after the row with this cursor. */
  readonly older: (cursor: string) => void;
  /** Back to the page before; null on the first page, and where the pages before are not known. */
  readonly newer: (() => void) | null;
}

/** The URL is where it is kept: it can be shared, survives a reload, and the browser's Back returns to it. */
export function useAsked(): AskedAndChange {
  const [params, setParams] = useSearchParams();
  const trail = trailIn(useHistoryState());
  const asked = useMemo(() => askedIn(params), [params]);
  const go = useCallback(
    (changes: Partial<Asked>, to: Trail) =>
      setParams((before) => changed(before, changes), { state: to.length === 0 ? null : { trail: to } }),
    [setParams],
  );
  const change = useCallback((changes: Partial<Asked>) => go({ ...changes, after: '' }, []), [go]);
  const before = trail.at(-1);
  return {
    asked,
    change,
    older: (cursor) => go({ after: cursor }, [...trail, asked.after]),
    newer: before === undefined ? null : () => go({ after: before }, trail.slice(0, -1)),
  };
}

function changed(before: URLSearchParams, changes: Partial<Asked>): URLSearchParams {
  const after = new URLSearchParams(before);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '' || value === DEFAULTS[name as keyof Asked]) after.delete(name);
    else after.set(name, String(value));
  }
  return after;
}

function trailIn(state: unknown): Trail {
  const trail = typeof state === 'object' && state !== null && 'trail' in state ? state.trail : null;
  return Array.isArray(trail) ? trail.map(String) : [];
}

const ROWS_DEFAULT = 50;
const DEFAULTS: Partial<Asked> = { window: WINDOW_DEFAULT, order: 'newest', rows: ROWS_DEFAULT };

/** What shows every saga. */
export const ALL = {
  q: '',
  status: '',
  definition: '',
  failed: '',
  code: '',
  at: '',
  with: '',
  unsettled: '',
  flight: '',
  member: '',
  window: 'any',
  from: '',
  to: '',
} as const satisfies Partial<Asked>;

function askedIn(params: URLSearchParams): Asked {
  const one = <Name extends string>(name: string, known: Readonly<Record<Name, unknown>>): Name | '' => {
    const value = params.get(name) ?? '';
    return Object.hasOwn(known, value) ? (value as Name) : '';
  };
  const rows = Number(params.get('rows'));
  return {
    q: params.get('q') ?? '',
    status: one('status', STATUSES),
    definition: one('definition', DEFINITIONS),
    failed: (params.get('failed') ?? '') as StepName | '',
    code: params.get('code') ?? '',
    at: (params.get('at') ?? '') as StepName | '',
    with: params.get('with') ?? '',
    unsettled: one('unsettled', { yes: true }),
    order: one('order', ORDERS) || 'newest',
    flight: params.get('flight') ?? '',
    member: params.get('member') ?? '',
    window: one('window', WINDOWS) || WINDOW_DEFAULT,
    from: params.get('from') ?? '',
    to: params.get('to') ?? '',
    rows: PAGE_ROWS.find((size) => size === rows) ?? ROWS_DEFAULT,
    after: params.get('after') ?? '',
  };
}

const NARROWING = [
  'q',
  'status',
  'definition',
  'failed',
  'code',
  'at',
  'with',
  'unsettled',
  'flight',
  'member',
] as const;

/** Whether anything but the time is asked for. */
export function isNarrowed(asked: Asked): boolean {
  return NARROWING.some((name) => asked[name] !== '');
}

/** The moment since when, by the server's clock; null: from the beginning. */
export function sinceOf({ window, from }: Asked): string | null {
  if (window === 'between') return instantOf(from);
  const { milliseconds } = WINDOWS[window];
  return milliseconds === null ? null : new Date(serverNow() - milliseconds).toISOString();
}

/** The filter as the API takes it. */
export function filterOf(asked: Asked): SagaFilter {
  return {
    definition: asked.definition || null,
    flightId: asked.flight || null,
    memberNumber: asked.member || null,
    status: asked.status === '' ? null : [asked.status],
    failedStep: asked.failed || null,
    failureCode: asked.code === '' ? null : [asked.code],
    stuckAt: asked.at || null,
    stuckWith: asked.with === '' ? null : [asked.with],
    isUnsettled: asked.unsettled === '' ? null : true,
    startedAfter: sinceOf(asked),
    startedBefore: asked.window === 'between' ? instantOf(asked.to) : null,
  };
}

function instantOf(local: string): string | null {
  const instant = new Date(local);
  return Number.isNaN(instant.getTime()) ? null : instant.toISOString();
}
