import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useSagaChanges, useSagasNow } from '../../api/follow';
import type { SagaStatus } from '../../api/generated/graphql';
import { useRead, whenSeen } from '../../api/read';
import { SagaCounts } from '../../api/sagas.graphql';
import { useMay } from '../../api/viewer';
import { Refused } from '../../operator/refused';
import { count, plural } from '../../pieces/format';
import { Banner, Empty, Failure, Loading } from '../../pieces/notices';
import { AirportTime } from '../../pieces/times';
import { ZoneChoice } from '../../pieces/zone';
import { TERMINAL } from '../../saga/states';
import { useTitle } from '../../shell/route-focus';
import { AttentionLine, useInNeed } from './attention';
import { Download } from './download';
import {
  ALL,
  type Asked,
  type AskedAndChange,
  filterOf,
  isNarrowed,
  ORDERS,
  PAGE_ROWS,
  sinceOf,
  useAsked,
} from './filter';
import { FilterBar } from './filter-bar';
import { useKeptPlace } from './kept';
import { type AlsoFound, type LiveList, type SagaList, useSagaList } from './list';
import { useRowKeys } from './row-keys';
import { Search } from './search';
import { SagaTable } from './table';
import '../../operator/operator.css';
import './sagas.css';

const COUNT_MS = 5_000;

/** All sagas, live. What is asked for stands in the address. */
export function SagasView() {
  useTitle('Sagas');
  const { asked, change, older, newer } = useAsked();
  const live = useSagaList(asked);
  const maySeeAll = useMay('sagas:read');
  const counts = useCounts(asked, maySeeAll);
  const inNeed = useInNeed();
  const { error, again } = useFollowing(asked, live, maySeeAll);
  const page = useRef<HTMLDivElement>(null);
  useRowKeys(page);
  useKeptPlace(page, live.list);
  // A search looks at all sagas: no filter counts, and one that is chosen ends the search.
  const isSearch = asked.q !== '';
  return (
    <div ref={page}>
      <div className="head">
        <div>
          <h1>Sagas</h1>
          <p>{counts === null ? `${ORDERS[asked.order].name}.` : `${going(counts)}. ${ORDERS[asked.order].name}.`}</p>
        </div>
        <div className="end">{maySeeAll && <Search q={asked.q} change={change} />}</div>
      </div>
      <AttentionLine inNeed={inNeed} change={change} />
      <FilterBar
        asked={isSearch ? { ...asked, ...ALL, q: asked.q } : asked}
        change={isSearch ? (changes) => change({ ...ALL, ...changes }) : change}
        counts={isNarrowed({ ...asked, status: '' }) ? null : counts}
        inNeed={inNeed}
      />
      {error !== null && (
        <Banner
          tone="wait"
          title="This list is no longer live."
          action={
            <button type="button" className="btn small" onClick={again}>
              Follow again
            </button>
          }
        >
          {error}
        </Banner>
      )}
      <section
        className="panel"
        aria-label={isSearch ? 'Sagas found' : `Sagas, ${ORDERS[asked.order].name.toLowerCase()}`}
      >
        {maySeeAll && (
          <Waiting newer={live.waiting} onShow={() => (asked.after === '' ? live.refresh() : change({}))} />
        )}
        <Rows live={live} asked={asked} change={change} older={older} newer={newer} />
      </section>
    </div>
  );
}

/** New sagas wait here; the place is reserved before. */
function Waiting({ newer, onShow }: { newer: number; onShow: () => void }) {
  return (
    <div className="newer" role="status">
      {newer > 0 ? (
        <button type="button" onClick={onShow}>
          {plural(newer, 'newer saga')}. Show {newer === 1 ? 'it' : 'them'}
        </button>
      ) : (
        <span>Newer sagas wait here until you show them.</span>
      )}
    </div>
  );
}

interface RowsProps extends Pick<AskedAndChange, 'asked' | 'change' | 'older' | 'newer'> {
  readonly live: LiveList;
}

function Rows({ live, asked, change, older, newer }: RowsProps) {
  const { list, trouble, isReading, refresh } = live;
  if (trouble !== null && !(trouble.code === 'UNREACHABLE' && list !== null)) {
    return (
      <div className="pad">
        <Refused trouble={trouble}>
          <Failure
            trouble={trouble}
            meaning="The list could not be read; nothing else is affected."
            onRetry={refresh}
          />
        </Refused>
      </div>
    );
  }
  if (list === null) return <Loading what="sagas" rows={24} />;
  if (list.rows.length + list.also.length === 0) return <Nothing asked={asked} change={change} />;
  return (
    <>
      <Also found={list.also} change={change} />
      <SagaTable rows={list.rows} />
      <div className="foot">
        <span>
          {list.isCut
            ? `The best ${count(list.rows.length)}. Type more to find others.`
            : `${count(list.rows.length)} of ${count(list.total)}`}
        </span>
        <ZoneChoice />
        <span className="keys">
          <kbd className="key">/</kbd> search <kbd className="key">j</kbd> <kbd className="key">k</kbd> move{' '}
          <kbd className="key">Enter</kbd> open
        </span>
        <Download asked={asked} list={list} />
        <Pages list={list} asked={asked} change={change} older={older} newer={newer} isReading={isReading} />
      </div>
    </>
  );
}

/** Flights and members that a search found: their sagas are one click away. */
function Also({ found, change }: { found: readonly AlsoFound[]; change: AskedAndChange['change'] }) {
  if (found.length === 0) return null;
  return (
    <ul className="also" aria-label="Also found">
      {found.map((hit) => (
        <li key={hit.__typename === 'Flight' ? hit.id : hit.memberNumber}>
          {hit.__typename === 'Flight' ? (
            <button
              type="button"
              className="btn small"
              onClick={() => change({ q: '', flight: hit.id, window: 'any' })}
            >
              Flight {hit.number}, {hit.origin.code} {hit.destination.code},{' '}
              <AirportTime at={hit.departsAt} timeZone={hit.origin.timeZone} day />
            </button>
          ) : (
            <button
              type="button"
              className="btn small"
              onClick={() => change({ q: '', member: hit.memberNumber, window: 'any' })}
            >
              Member {hit.memberNumber} {hit.name}
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}

type PagesProps = Omit<RowsProps, 'live'> & { readonly list: SagaList; readonly isReading: boolean };

/** To the pages before and after; each stands in the address. */
function Pages({ list: { next }, asked, change, older, newer, isReading }: PagesProps) {
  if (asked.after === '' && next === null) return null;
  return (
    <nav className="pages" aria-label="Pages">
      <select
        className="input"
        aria-label="Rows on a page"
        value={asked.rows}
        onChange={(event) => change({ rows: Number(event.target.value) })}
      >
        {PAGE_ROWS.map((rows) => (
          <option key={rows} value={rows}>
            {rows} rows
          </option>
        ))}
      </select>
      {asked.after !== '' && (
        <button type="button" className="btn small" onClick={() => change({})}>
          First page
        </button>
      )}
      {newer !== null && (
        <button type="button" className="btn small" onClick={newer}>
          Previous page
        </button>
      )}
      {next !== null && (
        <button type="button" className="btn small" disabled={isReading} onClick={() => older(next)}>
          Next page
        </button>
      )}
    </nav>
  );
}

function Nothing({ asked, change }: { asked: Asked; change: (changes: Partial<Asked>) => void }) {
  if (asked.q !== '') {
    return (
      <Empty
        title={`Nothing found for ${asked.q}`}
        action={
          <button type="button" className="btn" onClick={() => change({ q: '' })}>
            Clear the search
          </button>
        }
      >
        The search knows correlation IDs and their beginnings, references, family names, flights and members.
      </Empty>
    );
  }
  return (
    <Empty
      title={isNarrowed(asked) ? 'No saga meets these filters' : 'No saga was started in this time'}
      action={
        <button type="button" className="btn" onClick={() => change(ALL)}>
          Show all sagas
        </button>
      }
    >
      New ones are announced above as they start.
    </Empty>
  );
}

/** Follows the rows that are shown and are not over, and which sagas are new. */
function useFollowing(asked: Asked, { list, renew, take, refresh }: LiveList, maySeeAll: boolean) {
  const [turn, setTurn] = useState(0);
  const isWanted = maySeeAll && turn % 2 === 0;
  // Only who may see all sagas can follow them; a customer's few are read again.
  useEffect(() => {
    if (maySeeAll) return undefined;
    const timer = setInterval(() => whenSeen(refresh), COUNT_MS);
    return () => clearInterval(timer);
  }, [maySeeAll, refresh]);
  const filter = useMemo(() => filterOf(asked), [asked]);
  const news = useSagaChanges(isWanted ? filter : null, take);
  const shown = list?.rows.map((row) => row.correlationId).join() ?? '';
  // A row that ends meanwhile is followed to no purpose, but costs less than to follow the others anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: which rows are shown decides, not how they stand.
  const going = useMemo(
    () => list?.rows.filter((row) => !TERMINAL.has(row.status)).map((row) => row.correlationId) ?? [],
    [shown],
  );
  const rows = useSagasNow(isWanted ? going : [], renew);
  // A subscription that ended begins anew once it was not wanted for a moment.
  const again = useCallback(() => {
    setTurn(1);
    setTimeout(() => setTurn(0));
    refresh();
  }, [refresh]);
  return { error: (news.error ?? rows.error)?.message ?? null, again };
}

function useCounts(asked: Asked, maySeeAll: boolean): ReadonlyMap<SagaStatus, number> | null {
  const isKnown = maySeeAll && asked.window !== 'between' && asked.window !== 'any';
  const { data } = useRead(SagaCounts, isKnown ? asked.window : null, () => ({ since: sinceOf(asked) }), COUNT_MS);
  const statistics = data?.sagaStatistics;
  if (!isKnown || !statistics) return null;
  return new Map(statistics.byStatus.map(({ status, count: number }) => [status, number]));
}

function going(counts: ReadonlyMap<SagaStatus, number>): string {
  const of = (status: SagaStatus): string => count(counts.get(status) ?? 0);
  return `${of('RUNNING')} running, ${of('WAITING')} waiting, ${of('COMPENSATING')} undoing`;
}
