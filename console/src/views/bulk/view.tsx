import { useSearchParams } from 'wouter';
import { BulkActions } from '../../api/bulk.graphql';
import { useRead } from '../../api/read';
import { ListPage } from '../../operator/list-page';
import { Empty } from '../../pieces/notices';
import { BulkItem } from './item';

const PAGE = 20;
const READ_MS = 5_000;

/** What operators did to many sagas at once, newest first: live while it goes on, then its report. */
export function BulkView() {
  const [params, setParams] = useSearchParams();
  const after = params.get('after');
  const { data, trouble, again } = useRead(BulkActions, after ?? '', () => ({ first: PAGE, after }), READ_MS);
  return (
    <ListPage
      title="Bulk actions"
      lead="Newest first. They go on when a server restarts."
      name="Bulk actions"
      what="The bulk actions"
      rows={8}
      page={data?.bulkActions ?? null}
      trouble={trouble}
      again={again}
      empty={
        <Empty title="No bulk action yet">
          An incident’s sagas are retried, skipped or cancelled together from the page of incidents.
        </Empty>
      }
      onOlder={(cursor) => setParams({ after: cursor })}
    >
      {(actions) => (
        <ul className="bulk-list">
          {actions.map((action) => (
            <BulkItem key={action.id} action={action} />
          ))}
        </ul>
      )}
    </ListPage>
  );
}
