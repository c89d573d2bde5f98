import { Link, useSearchParams } from 'wouter';
import { BulkActions } from '../../api/bulk.graphql';
import { useRead } from '../../api/read';
import { Refused } from '../../operator/refused';
import { count } from '../../pieces/format';
import { Empty, Failure, Loading } from '../../pieces/notices';
import { ZoneChoice } from '../../pieces/zone';
import { useTitle } from '../../shell/route-focus';
import { BulkItem } from './item';
import '../../operator/operator.css';

const PAGE = 20;
const READ_MS = 5_000;

/** What operators did to many sagas at once, newest first: live while it goes on, then its report. */
export function BulkView() {
  useTitle('Bulk actions');
  const [params, setParams] = useSearchParams();
  const after = params.get('after');
  const { data, trouble, again } = useRead(BulkActions, after ?? '', () => ({ first: PAGE, after }), READ_MS);
  const page = data?.bulkActions ?? null;
  return (
    <>
      <div className="head">
        <div>
          <h1>Bulk actions</h1>
          <p>
            Newest first. They go on when a server restarts. <ZoneChoice />
          </p>
        </div>
        <div className="end">
          <Link className="btn" href="/saga/incidents">
            Incidents
          </Link>
        </div>
      </div>
      {trouble !== null && (
        <Refused trouble={trouble}>
          <Failure
            trouble={trouble}
            meaning={page === null ? 'The bulk actions could not be read.' : 'The shown data may be outdated.'}
            onRetry={again}
          />
        </Refused>
      )}
      <section className="panel" aria-label="Bulk actions, newest first">
        {page === null ? (
          trouble === null && <Loading what="bulk actions" rows={8} />
        ) : page.edges.length === 0 ? (
          <Empty title="No bulk action yet">
            An incident’s sagas are retried, skipped or cancelled together from the page of incidents.
          </Empty>
        ) : (
          <>
            <ul className="bulk-list">
              {page.edges.map(({ node }) => (
                <BulkItem key={node.id} action={node} />
              ))}
            </ul>
            <div className="foot">
              <span>
                {count(page.edges.length)} of {count(page.totalCount)}
              </span>
              {page.pageInfo.hasNextPage && (
                <button
                  type="button"
                  className="btn small"
                  onClick={() => setParams({ after: page.pageInfo.endCursor ?? '' })}
                >
                  Older
                </button>
              )}
            </div>
          </>
        )}
      </section>
    </>
  );
}
