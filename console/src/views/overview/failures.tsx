import { Link } from 'wouter';
import type { Statistics } from '../../api/overview.graphql';
import { count, plural } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { plainName } from '../../saga/words';

/**
 * At which step sagas failed that ended in the window or are not over. Each leads to the sagas that failed there,
 * whenever they started: one that is stuck for days counts here, too.
 */
export function Failures({ failedAt, last }: { failedAt: Statistics['failedAt']; last: string }) {
  const rows = failedAt.filter((row) => row.count > 0).toSorted((one, other) => other.count - one.count);
  const most = rows[0]?.count ?? 1;
  const all = rows.reduce((sum, row) => sum + row.count, 0);
  return (
    <Panel
      title="Failed at"
      end={<span title={`Ended in ${last}, or unfinished`}>{plural(all, 'saga')}, unfinished too</span>}
    >
      {rows.length === 0 ? (
        <Empty title="None failed">Every saga of this time went forward.</Empty>
      ) : (
        <ol className="pad bars">
          {rows.map((row) => (
            <li key={row.step}>
              <Link href={`/saga?failed=${row.step}&window=any`}>{plainName(row.step)}</Link>
              <svg width="100%" height="14" aria-hidden="true">
                <rect width={`${(100 * row.count) / most}%`} height="14" rx="2" />
              </svg>
              <span className="mono">{count(row.count)}</span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
