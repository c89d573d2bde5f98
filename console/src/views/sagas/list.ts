import { useCallback, useEffect, useRef, useState } from 'react';
import type { Trouble } from '../../api/client';
import { useOnReconnect } from '../../api/connection';
import type { FoundQuery } from '../../api/generated/graphql';
import { read } from '../../api/read';
import type { SagaChange, SagaOnLine } from '../../api/saga.graphql';
import { Found, type RowSaga, SagaPage } from '../../api/sagas.graphql';
import { type Asked, filterOf, ORDERS } from './filter';
import { keepList, listLeft } from './kept';
import { updated, waitingAfter } from './rows';

const FOUND_MAX = 50;

export type AlsoFound = Extract<
  NonNullable<FoundQuery['search']>[number],
  { __typename?: 'Flight' | 'LoyaltyAccount' }
>;

/** One page of the sagas that are asked for. */
export interface SagaList {
  readonly rows: readonly RowSaga[];
  /** How many there are on all pages, as of the last asking. */
  readonly total: number;
  /** Flights and members that a search found beside sagas. */
  readonly also: readonly AlsoFound[];
  /** Whether a search may have found more than it lists. */
  readonly isCut: boolean;
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
      if (asked.q === '') setWaiting((before) => waitingAfter(before, changes, shown.current?.rows ?? [], asked.order));
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
  const { data, trouble } = await read(SagaPage, {
    filter: filterOf(asked),
    first: asked.rows,
    after,
    orderBy: ORDERS[asked.order].value,
  });
  if (trouble) return { trouble };
  const { edges, pageInfo, totalCount } = data.sagas;
  return {
    list: {
      rows: edges.map(({ node }) => node),
      total: totalCount,
      also: [],
      isCut: false,
      next: pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null,
    },
  };
}

/** What the server's one search box finds, independent of the filters. */
async function find(text: string): Promise<Answer> {
  const { data, trouble } = await read(Found, { text, first: FOUND_MAX });
  if (trouble) return { trouble };
  const rows = new Map<string, RowSaga>();
  const also: AlsoFound[] = [];
  for (const hit of data.search ?? []) {
    if (hit.__typename === 'Saga') rows.set(hit.correlationId, hit);
    else if (hit.__typename === 'Booking') {
      for (const saga of [hit.cancellation, hit.saga]) if (saga) rows.set(saga.correlationId, saga);
    } else also.push(hit);
  }
  return {
    list: { rows: [...rows.values()], total: rows.size, isCut: data.search?.length === FOUND_MAX, next: null, also },
  };
}
