import { useCallback, useEffect, useRef, useState } from 'react';
import type { Trouble } from '../../api/client';
import { useOnReconnect } from '../../api/connection';
import { read } from '../../api/read';
import type { SagaChange, SagaOnLine } from '../../api/saga.graphql';
import { BookingSagas, type RowSaga, SagaFound, SagaPage } from '../../api/sagas.graphql';
import { referenceIn, uuidIn } from '../../saga/ids';
import { type Asked, filterOf } from './filter';
import { keepList, listLeft } from './kept';
import { updated, waitingAfter } from './rows';

/** One page of the sagas that are asked for. */
export interface SagaList {
  readonly rows: readonly RowSaga[];
  /** How many there are on all pages, as of the last asking. */
  readonly total: number;
  /** Where the next page begins; null after the last one. */
  readonly next: string | null;
}

export interface LiveList {
  readonly list: SagaList | null;
  readonly trouble: Trouble | null;
  readonly isReading: boolean;
  /** Sagas that came up since and wait to be shown. */
  readonly waiting: number;
  /** Query again, and show the waiting sagas. */
  refresh(): void;
  /** Rows change in place. */
  renew(sagas: readonly SagaOnLine[]): void;
  /** New sagas wait. */
  take(changes: readonly SagaChange[]): void;
}

const NONE: ReadonlySet<string> = new Set();

export function useSagaList(asked: Asked): LiveList {
  const [list, setList] = useState(listLeft);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [isReading, setIsReading] = useState(true);
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(NONE);
  const [turn, setTurn] = useState(0);
  const shown = useRef<SagaList | null>(null);
  shown.current = list;
  const shownFor = useRef<Asked | null>(null);
  const turnSeen = useRef(turn);

  const renew = useCallback((sagas: readonly SagaOnLine[]) => {
    setList((before) => before && { ...before, rows: updated(before.rows, sagas) });
  }, []);
  const take = useCallback(
    (changes: readonly SagaChange[]) => {
      if (asked.q === '') setWaiting((before) => waitingAfter(before, changes, shown.current?.rows ?? []));
    },
    [asked],
  );
  const meet = useCallback(
    ({ rows }: SagaList) => {
      renew(rows);
      take(rows.map((saga) => ({ matches: true, saga })));
    },
    [renew, take],
  );
  const refresh = useCallback(() => setTurn((before) => before + 1), []);
  useEffect(() => {
    let isWanted = true;
    const left = turn === turnSeen.current ? listLeft() : null;
    turnSeen.current = turn;
    const show = (now: SagaList): void => {
      shownFor.current = asked;
      setList(now);
    };
    if (left !== null) show(left);
    setWaiting(NONE);
    setIsReading(true);
    void readList(asked).then((answer) => {
      if (!isWanted) return;
      setIsReading(false);
      setTrouble(answer.trouble ?? null);
      if (answer.list === undefined) return;
      // What was left stays as it was: its rows are renewed, and newer ones wait.
      if (left !== null) meet(answer.list);
      else show(answer.list);
    });
    return () => {
      isWanted = false;
    };
  }, [asked, turn, meet]);
  useEffect(() => {
    if (list !== null && shownFor.current === asked) keepList(list);
  }, [list, asked]);
  // Changes from the time without a connection update the rows in place, too.
  useOnReconnect(() => void readList(asked).then((answer) => answer.list && meet(answer.list)));
  return { list, trouble, isReading, waiting: waiting.size, refresh, renew, take };
}

type Answer = { list: SagaList; trouble?: never } | { list?: never; trouble: Trouble };

async function readList(asked: Asked): Promise<Answer> {
  return asked.q === '' ? readPage(asked) : find(asked.q);
}

async function readPage(asked: Asked): Promise<Answer> {
  const after = asked.after === '' ? null : asked.after;
  const { data, trouble } = await read(SagaPage, { filter: filterOf(asked), first: asked.rows, after });
  if (trouble) return { trouble };
  const { edges, pageInfo, totalCount } = data.sagas;
  return {
    list: {
      rows: edges.map(({ node }) => node),
      total: totalCount,
      next: pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null,
    },
  };
}

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
  return { rows, total: rows.length, next: null };
}
