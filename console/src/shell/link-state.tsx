import { useNow } from '../api/clock';
import { type Connection, useConnection } from '../api/connection';

/** Shows in the bar whether the data is live. */
export function LinkState() {
  const connection = useConnection();
  return (
    <span className="link-state" data-link={connection.status === 'connecting' ? 'idle' : connection.status}>
      <i />
      <Said connection={connection} />
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
