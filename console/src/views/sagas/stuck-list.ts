import { useCallback, useEffect, useRef, useState } from 'react';
import { useOnReconnect } from '../../api/connection';
import { read } from '../../api/read';
import type { SagaOnLine } from '../../api/saga.graphql';
import { type StuckRow, StuckSagas } from '../../api/sagas.graphql';
import { updated } from './list';

const STUCK_MAX = 20;

/** Sagas that need a person. A saga that was stuck stays in place, also once it continues, until the next query. */
export interface StuckList {
  readonly sagas: readonly StuckRow[];
  readonly total: number;
  /** How many got stuck since and wait to be shown. */
  readonly waiting: number;
  take(sagas: readonly SagaOnLine[]): void;
  refresh(): void;
}

export function useStuckList(): StuckList {
  const [sagas, setSagas] = useState<readonly StuckRow[]>([]);
  const [total, setTotal] = useState(0);
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const shown = useRef(sagas);
  shown.current = sagas;

  const take = useCallback((changed: readonly SagaOnLine[]) => {
    setSagas((before) => updated(before, changed));
    setWaiting((before) => waitingAfter(before, changed, shown.current));
  }, []);
  const refresh = useCallback(() => {
    void readStuck().then((now) => {
      if (now === null) return;
      setSagas(now.sagas);
      setTotal(now.total);
      setWaiting(new Set());
    });
  }, []);
  useEffect(refresh, [refresh]);
  useOnReconnect(() => void readStuck().then((now) => now && take(now.sagas)));
  return { sagas, total, waiting: waiting.size, take, refresh };
}

async function readStuck(): Promise<{ sagas: readonly StuckRow[]; total: number } | null> {
  const { data } = await read(StuckSagas, { first: STUCK_MAX });
  return data ? { sagas: data.sagas.edges.map(({ node }) => node), total: data.sagas.totalCount } : null;
}

function waitingAfter(
  before: ReadonlySet<string>,
  changed: readonly SagaOnLine[],
  shown: readonly SagaOnLine[],
): ReadonlySet<string> {
  const known = new Set(shown.map((saga) => saga.correlationId));
  const news = changed.filter((saga) => !known.has(saga.correlationId));
  if (!news.some((saga) => saga.status === 'STUCK' || before.has(saga.correlationId))) return before;
  const after = new Set(before);
  for (const saga of news) {
    if (saga.status === 'STUCK') after.add(saga.correlationId);
    else after.delete(saga.correlationId);
  }
  return after;
}
