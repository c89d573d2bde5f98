import { useEffect } from 'react';
import { NeedsNow } from '../api/incidents.graphql';
import { useRead } from '../api/read';
import { createStore, useStore } from '../api/store';
import { useMay } from '../api/viewer';

const READ_MS = 5_000;

/** The sagas that need a person, whenever they started. */
export interface Needs {
  readonly stuck: number;
  readonly parked: number;
}

/** One for the whole page, so that all its places say the same number. Null while it is not known. */
const needs = createStore<Needs | null>(null);

export function useNeeds(): Needs | null {
  return useStore(needs);
}

/** Tell all places the number that a view has just read. */
export function useSayNeeds(read: Needs | null): void {
  useEffect(() => {
    if (read !== null) say(read);
  }, [read]);
}

/** Keeps the number fresh while an operator looks at the page. */
export function NeedsReader(): null {
  const { data } = useRead(NeedsNow, useMay('sagas:read') ? 'needs' : null, () => ({}), READ_MS);
  useEffect(() => {
    if (data) say({ stuck: data.stuck.totalCount, parked: data.parked.totalCount });
  }, [data]);
  return null;
}

function say(read: Needs): void {
  const before = needs.get();
  if (before?.stuck !== read.stuck || before.parked !== read.parked) needs.set(read);
}
