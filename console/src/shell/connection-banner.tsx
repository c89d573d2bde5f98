import { useEffect, useState } from 'react';
import { useNow } from '../api/clock';
import { cameInMeanwhile, useConnection } from '../api/connection';
import { retryNow } from '../api/socket';
import { useStore } from '../api/store';
import { plural } from '../pieces/format';
import { Banner } from '../pieces/notices';
import { Time } from '../pieces/times';
import './connection-banner.css';

/** A break that is mended sooner is not worth a word. */
const PATIENCE_MS = 1_000;
const GOOD_NEWS_MS = 5_000;

/** Says that the connection is lost, and, for five seconds, that it is there again and what came in meanwhile. */
export function ConnectionBanner() {
  return (
    <div className="over-page">
      <Current />
    </div>
  );
}

function Current() {
  const connection = useConnection();
  if (connection.status === 'lost') return <Lost lostAt={connection.lostAt} retryAt={connection.retryAt} />;
  if (connection.status !== 'live' || connection.resumedAt === null || connection.lostAt === null) return null;
  if (connection.resumedAt - connection.lostAt < PATIENCE_MS) return null;
  return <Again key={connection.resumedAt} />;
}

function Lost({ lostAt, retryAt }: { lostAt: number; retryAt: number | null }) {
  useNow();
  const isLate = useElapsed(lostAt + PATIENCE_MS);
  if (!isLate) return null;
  const ago = Math.max(1, Math.round((Date.now() - lostAt) / 1_000));
  const left = retryAt === null ? 0 : Math.ceil((retryAt - Date.now()) / 1_000);
  return (
    <Banner
      tone="wait"
      title="Connection lost."
      action={
        <button type="button" className="btn small" onClick={retryNow}>
          Try now
        </button>
      }
    >
      <span aria-hidden="true">{ago} s ago. </span>
      Shown as of <Time at={new Date(lostAt).toISOString()} />.{' '}
      <span aria-hidden="true">{left > 0 ? `Trying again in ${left} s; ` : 'Trying again; '}</span>
      nothing will be missed.
    </Banner>
  );
}

function Again() {
  const events = useStore(cameInMeanwhile);
  const isOver = useElapsed(Date.now() + GOOD_NEWS_MS);
  if (isOver) return null;
  return (
    <Banner tone="done" title="Connected again.">
      {events === 0 ? 'Nothing was missed.' : `${plural(events, 'event')} came in meanwhile.`}
    </Banner>
  );
}

/** Whether the instant, which is taken once, has passed. */
function useElapsed(instant: number): boolean {
  const [at] = useState(instant);
  const [isPast, setIsPast] = useState(Date.now() >= at);
  useEffect(() => {
    const timer = setTimeout(() => setIsPast(true), Math.max(0, at - Date.now()));
    return () => clearTimeout(timer);
  }, [at]);
  return isPast;
}
