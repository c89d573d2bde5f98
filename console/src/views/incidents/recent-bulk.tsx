import { useNow } from '../../api/clock';
import type { BulkActionsQuery } from '../../api/generated/graphql';
import { Panel } from '../../pieces/panel';
import { BulkItem } from '../bulk/item';

const RECENT_MS = 3_600_000;

/** Bulk actions that go on, and the reports of those that ended within the hour. */
export function RecentBulk({ bulk }: { bulk: BulkActionsQuery | null }) {
  const now = useNow();
  const recent = (bulk?.bulkActions?.edges ?? [])
    .map(({ node }) => node)
    .filter(({ finishedAt }) => finishedAt === null || now - Date.parse(finishedAt) < RECENT_MS);
  if (recent.length === 0) return null;
  return (
    <Panel title="Bulk actions of the last hour" className="recent-bulk">
      <ul className="bulk-list">
        {recent.map((action) => (
          <BulkItem key={action.id} action={action} />
        ))}
      </ul>
    </Panel>
  );
}
