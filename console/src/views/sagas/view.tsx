import { useCallback, useRef, useState } from 'react';
import type { SagaStatus } from '../../api/generated/graphql';
import { useRead } from '../../api/read';
import { SagaCounts } from '../../api/sagas.graphql';
import { Refused } from '../../operator/refused';
import { count, plural } from '../../pieces/format';
import { Banner, Empty, Failure, Loading } from '../../pieces/notices';
import { ZONE } from '../../pieces/times';
import { useTitle } from '../../shell/route-focus';
import { useSagaChanges } from './feed';
import { type Asked, everOf, isNarrowed, ROWS_STEP, sinceOf, useAsked } from './filter';
import { FilterBar } from './filter-bar';
import { type LiveList, useSagaList } from './list';
import { useRowKeys } from './row-keys';
import { Search } from './search';
import { StuckCard } from './stuck-card';
import { useStuckList } from './stuck-list';
import { SagaTable } from './table';
import './sagas.css';

const COUNT_MS = 5_000;

/** All sagas, newest first, live; stuck sagas are on top, independent of the filter. */
export function SagasView() {
  useTitle('Sagas');
  const [asked, change] = useAsked();
  const live = useSagaList(asked);
  const stuck = useStuckList();
  const counts = useCounts(asked);
  const { error, again } = useFollowing(asked, live, stuck.take);
  const page = useRef<HTMLDivElement>(null);
  useRowKeys(page);
  return (
    <div ref={page}>
      <div className="head">
        <div>
          <h1>Sagas</h1>
          <p>{counts === null ? 'Stuck first, then newest.' : `${going(counts)}. Stuck first, then newest.`}</p>
        </div>
        <div className="end">
          <Search q={asked.q} onSearch={(q) => change({ q })} />
        </div>
      </div>
      <FilterBar asked={asked} change={change} counts={isNarrowed({ ...asked, status: '' }) ? null : counts} />
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
      {stuck.sagas.length > 0 && (
        <section aria-label="Stuck sagas" className="stuck-list">
          {stuck.sagas.map((saga) => (
            <StuckCard key={saga.id} saga={saga} />
          ))}
          {stuck.total > stuck.sagas.length && (
            <p className="quiet">
              {plural(stuck.total - stuck.sagas.length, 'more saga is', 'more sagas are')} stuck.{' '}
              <button type="button" className="btn small" onClick={() => change({ status: 'STUCK', window: 'any' })}>
                Show all stuck
              </button>
            </p>
          )}
        </section>
      )}
      <section className="panel" aria-label={asked.q === '' ? 'Sagas, newest first' : 'Sagas found'}>
        <Waiting
          newer={live.waiting}
          stuck={stuck.waiting}
          onShow={() => {
            live.refresh();
            stuck.refresh();
          }}
        />
        <Rows live={live} asked={asked} change={change} />
      </section>
    </div>
  );
}

/** New sagas wait here; the place is reserved before. */
function Waiting({ newer, stuck, onShow }: { newer: number; stuck: number; onShow: () => void }) {
  const said = [
    ...(stuck > 0 ? [`${plural(stuck, 'saga')} got stuck`] : []),
    ...(newer > 0 ? [plural(newer, 'newer saga')] : []),
  ];
  return (
    <div className="newer" role="status" data-s={stuck > 0 ? 'stuck' : 'running'}>
      {said.length > 0 ? (
        <button type="button" onClick={onShow}>
          {said.join(', ')}. Show {newer + stuck === 1 ? 'it' : 'them'}
        </button>
      ) : (
        <span>Live. Newer sagas wait here until you show them.</span>
      )}
    </div>
  );
}

function Rows({ live, asked, change }: { live: LiveList; asked: Asked; change: (changes: Partial<Asked>) => void }) {
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
  if (list.rows.length === 0) return <Nothing asked={asked} change={change} />;
  return (
    <>
      <SagaTable rows={list.rows} />
      <div className="foot">
        <span>
          {count(list.rows.length)} of {count(list.total)}
        </span>
        <span>Times in your zone, {ZONE}</span>
        <span className="keys">
          <kbd className="key">/</kbd> search <kbd className="key">j</kbd> <kbd className="key">k</kbd> move{' '}
          <kbd className="key">Enter</kbd> open
        </span>
        {list.hasMore && (
          <button
            type="button"
            className="btn small"
            disabled={isReading}
            onClick={() => change({ rows: asked.rows + ROWS_STEP })}
          >
            Show {ROWS_STEP} more
          </button>
        )}
      </div>
    </>
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
        A search wants a whole correlation ID, or the six characters of a booking’s reference.
      </Empty>
    );
  }
  const all = {
    status: '',
    definition: '',
    failed: '',
    flight: '',
    member: '',
    window: 'any',
    from: '',
    to: '',
  } as const;
  return (
    <Empty
      title={isNarrowed(asked) ? 'No saga meets these filters' : 'No saga was started in this time'}
      action={
        <button type="button" className="btn" onClick={() => change(all)}>
          Show all sagas
        </button>
      }
    >
      New ones are announced above as they start.
    </Empty>
  );
}

/** Follows all sagas, to update rows in place, and those that match the filter, to find new ones. */
function useFollowing(asked: Asked, live: LiveList, takeStuck: ReturnType<typeof useStuckList>['take']) {
  const [turn, setTurn] = useState(0);
  const ever = everOf(asked);
  const isAll = Object.values(ever).every((value) => value === null);
  const isOver = asked.window === 'between' && asked.to !== '' && Date.parse(asked.to) < Date.now();
  const everything = useSagaChanges(null, turn % 2 === 0, (sagas) => {
    live.take(sagas, isAll);
    takeStuck(sagas);
  });
  useSagaChanges(ever, !isAll && !isOver, (sagas) => live.take(sagas, true));
  // A subscription that ended begins anew once it was not wanted for a moment.
  const again = useCallback(() => {
    setTurn(1);
    setTimeout(() => setTurn(0));
    live.refresh();
  }, [live]);
  return { error: everything.error?.message ?? null, again };
}

function useCounts(asked: Asked): ReadonlyMap<SagaStatus, number> | null {
  const isKnown = asked.window !== 'between' && asked.window !== 'any';
  const { data } = useRead(SagaCounts, isKnown ? asked.window : null, () => ({ since: sinceOf(asked) }), COUNT_MS);
  const statistics = data?.sagaStatistics;
  if (!isKnown || !statistics) return null;
  return new Map(statistics.byStatus.map(({ status, count: number }) => [status, number]));
}

function going(counts: ReadonlyMap<SagaStatus, number>): string {
  const of = (status: SagaStatus): string => count(counts.get(status) ?? 0);
  return `${of('RUNNING')} running, ${of('WAITING')} waiting, ${of('COMPENSATING')} undoing, ${of('STUCK')} stuck`;
}
