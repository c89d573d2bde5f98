import { useCallback, useEffect, useRef, useState } from 'react';
import type { Trouble } from '../../api/client';
import { useOnReconnect } from '../../api/connection';
import { read } from '../../api/read';
import type { SagaOnLine } from '../../api/saga.graphql';
import { BookingSagas, type RowSaga, SagaFound, SagaPage } from '../../api/sagas.graphql';
import { referenceIn, uuidIn } from '../../saga/ids';
import { type Asked, filterOf, meetsNow } from './filter';

const PAGE_MAX = 100;

/** The rows that are asked for, newest first, and how many more there are. */
export interface SagaList {
  readonly rows: readonly RowSaga[];
  /** How many there are in all, as of the last asking. */
  readonly total: number;
  readonly hasMore: boolean;
}

export interface LiveList {
  readonly list: SagaList | null;
  readonly trouble: Trouble | null;
  readonly isReading: boolean;
  /** Sagas that came up since and wait to be shown. */
  readonly waiting: number;
  /** Query again, and show the waiting sagas. */
  refresh(): void;
  /** Apply changes: rows change in place, new sagas wait. `isAsked`: the part of the filter that is fixed at the start. */
  take(sagas: readonly SagaOnLine[], isAsked: boolean): void;
}

export function useSagaList(asked: Asked): LiveList {
  const [list, setList] = useState<SagaList | null>(null);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [isReading, setIsReading] = useState(true);
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set());
  const [turn, setTurn] = useState(0);
  const shown = useRef<SagaList | null>(null);
  shown.current = list;

  const refresh = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    let isWanted = true;
    setIsReading(true);
    void readList(asked).then((answer) => {
      if (!isWanted) return;
      setIsReading(false);
      setTrouble(answer.trouble ?? null);
      if (answer.list === undefined) return;
      setList(answer.list);
      setWaiting(new Set());
    });
    return () => {
      isWanted = false;
    };
  }, [asked, turn]);

  const take = useCallback(
    (sagas: readonly SagaOnLine[], isAsked: boolean) => {
      setList((before) => before && { ...before, rows: updated(before.rows, sagas) });
      if (isAsked && asked.q === '')
        setWaiting((before) => waitingAfter(before, sagas, shown.current?.rows ?? [], asked));
    },
    [asked],
  );
  // Changes from the time without a connection update the rows in place, too.
  useOnReconnect(() => void readList(asked).then((answer) => answer.list && take(answer.list.rows, true)));
  return { list, trouble, isReading, waiting: waiting.size, refresh, take };
}

/** Rows keep their places; their data is renewed. */
export function updated<Row extends SagaOnLine>(rows: readonly Row[], sagas: readonly SagaOnLine[]): readonly Row[] {
  const news = new Map(sagas.map((saga) => [saga.correlationId, saga]));
  if (!rows.some((row) => news.has(row.correlationId))) return rows;
  return rows.map((row) => {
    const saga = news.get(row.correlationId);
    return saga === undefined || saga.sequence < row.sequence ? row : { ...row, ...saga };
  });
}

/** The sagas that wait to be shown: they are new, belong among the rows and still match the filter. */
export function waitingAfter(
  before: ReadonlySet<string>,
  sagas: readonly SagaOnLine[],
  rows: readonly RowSaga[],
  asked: Asked,
): ReadonlySet<string> {
  const known = new Set(rows.map((row) => row.correlationId));
  const oldest = rows.at(-1)?.startedAt ?? '';
  const after = new Set(before);
  for (const saga of sagas) {
    const isNew = !known.has(saga.correlationId) && saga.startedAt >= oldest && meetsNow(saga, asked);
    if (isNew) after.add(saga.correlationId);
    else after.delete(saga.correlationId);
  }
  return after.size === before.size && [...after].every((id) => before.has(id)) ? before : after;
}

type Answer = { list: SagaList; trouble?: never } | { list?: never; trouble: Trouble };

async function readList(asked: Asked): Promise<Answer> {
  return asked.q === '' ? readPages(asked) : find(asked.q);
}

/** As many pages as hold the rows that are asked for, one after the other by their cursors. */
async function readPages(asked: Asked): Promise<Answer> {
  const filter = filterOf(asked);
  const rows: RowSaga[] = [];
  let after: string | null = null;
  for (;;) {
    const first = Math.min(PAGE_MAX, asked.rows - rows.length);
    const answer: Awaited<ReturnType<typeof page>> = await page(filter, first, after);
    if (answer.trouble) return { trouble: answer.trouble };
    const { edges, pageInfo, totalCount } = answer.data.sagas;
    rows.push(...edges.map(({ node }) => node));
    after = pageInfo.endCursor ?? null;
    if (!pageInfo.hasNextPage || rows.length >= asked.rows) {
      return { list: { rows, total: totalCount, hasMore: pageInfo.hasNextPage } };
    }
  }
}

const page = (filter: ReturnType<typeof filterOf>, first: number, after: string | null) =>
  read(SagaPage, { filter, first, after });

/** Finds a saga by its correlation ID or booking reference, independent of the filters. */
async function find(q: string): Promise<Answer> {
  const correlationId = uuidIn(q);
  if (correlationId !== null) {
    const { data, trouble } = await read(SagaFound, { correlationId });
    return trouble ? { trouble } : { list: listOf([data.saga]) };
  }
  const reference = referenceIn(q);
  if (reference === null) return { list: listOf([]) };
  const { data, trouble } = await read(BookingSagas, { reference });
  return trouble ? { trouble } : { list: listOf([data.booking?.cancellation, data.booking?.saga]) };
}

function listOf(found: readonly (RowSaga | null | undefined)[]): SagaList {
  const rows = found.filter((row) => row !== null && row !== undefined);
  return { rows, total: rows.length, hasMore: false };
}
