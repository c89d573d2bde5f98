import { useEffect } from 'react';
import type { NeedsNowQuery } from '../api/generated/graphql';
import { NeedsNow } from '../api/incidents.graphql';
import { useRead } from '../api/read';
import { createStore, useStore } from '../api/store';
import { useMay } from '../api/viewer';

const READ_MS = 5_000;

/** The sagas that need a person, whenever they started. */
export interface Needs {
  readonly stuck: number;
  readonly parked: number;
  /** Sagas that ended with something given up, which nobody has settled yet. */
  readonly unsettled: number;
}

/** One for the whole page, so that all its places say the same number. Null while it is not known. */
const needs = createStore<Needs | null>(null);

export function useNeeds(): Needs | null {
  return useStore(needs);
}

/** Tell all places the numbers that a view has just read. */
export function useSayNeeds(data: NeedsNowQuery | null): void {
  useEffect(() => {
    if (data !== null) say(needsIn(data));
  }, [data]);
}

/** How many cannot go on without a person. */
export function inNeed({ stuck, parked }: Needs): number {
  return stuck + parked;
}

function needsIn({ stuck, parked, unsettled }: NeedsNowQuery): Needs {
  return { stuck: stuck.totalCount, parked: parked.totalCount, unsettled: unsettled.totalCount };
}

/** Keeps the number fresh while an operator looks at the page. */
export function NeedsReader(): null {
  const { data } = useRead(NeedsNow, useMay('sagas:read') ? 'needs' : null, () => ({}), READ_MS);
  useSayNeeds(data);
  return null;
}

function say(read: Needs): void {
  if (JSON.stringify(read) !== JSON.stringify(needs.get())) needs.set(read);
}
