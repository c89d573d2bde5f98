import { useNow } from '../api/clock';
import { behindMs, type Connection, useConnection } from '../api/connection';
import { useStore } from '../api/store';

/** Shows in the bar whether the data is live. */
export function LinkState() {
  const connection = useConnection();
  const behind = useStore(behindMs);
  const isBehind = connection.status === 'live' && behind !== null;
  const link = connection.status === 'connecting' ? 'idle' : isBehind ? 'lost' : connection.status;
  return (
    <span
      className="link-state"
      data-link={link}
      title={isBehind ? 'The line is slow: what is shown is this old.' : undefined}
    >
      <i />
      {isBehind ? `${Math.round(behind / 1_000)} s behind` : <Said connection={connection} />}
    </span>
  );
}

function Said({ connection }: { connection: Connection }) {
  switch (connection.status) {
    case 'connecting':
      return 'Connecting';
    case 'live':
      return 'Live';
    case 'refused':
      return 'No access';
    case 'lost':
      return connection.retryAt === null ? 'Reconnecting' : <Until retryAt={connection.retryAt} />;
  }
}

function Until({ retryAt }: { retryAt: number }) {
  useNow();
  const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1_000));
  return seconds === 0 ? 'Reconnecting' : `Reconnecting in ${seconds} s`;
}
