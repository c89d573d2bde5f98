import { useCallback, useEffect, useRef } from 'react';
import { useSagaFeed } from '../../api/follow';
import type { SagaFilter } from '../../api/generated/graphql';
import type { LiveState } from '../../api/live';
import type { SagaOnLine } from '../../api/saga.graphql';

/** A stampede is drawn a few times a second, not once an event. */
const GATHER_MS = 200;

/** Sagas as they change, each as it stands last, gathered for a moment. Null: none. */
export function useSagaChanges(
  filter: SagaFilter | null,
  isWanted: boolean,
  take: (sagas: readonly SagaOnLine[]) => void,
): LiveState {
  const gathered = useRef(new Map<string, SagaOnLine>());
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const latest = useRef(take);
  useEffect(() => {
    latest.current = take;
  });
  useEffect(() => () => clearTimeout(timer.current), []);
  const hand = useCallback(() => {
    timer.current = undefined;
    const sagas = [...gathered.current.values()];
    gathered.current.clear();
    latest.current(sagas);
  }, []);
  return useSagaFeed(
    filter,
    ({ saga }) => {
      gathered.current.set(saga.correlationId, saga);
      timer.current ??= setTimeout(hand, GATHER_MS);
    },
    isWanted,
  );
}
