import type { SagaChange, SagaOnLine } from '../../api/saga.graphql';
import type { RowSaga } from '../../api/sagas.graphql';
import type { Order } from './filter';

/** Rows keep their places; their data is renewed. */
export function updated<Row extends SagaOnLine>(rows: readonly Row[], sagas: readonly SagaOnLine[]): readonly Row[] {
  const news = new Map(sagas.map((saga) => [saga.correlationId, saga]));
  if (!rows.some((row) => news.has(row.correlationId))) return rows;
  return rows.map((row) => {
    const saga = news.get(row.correlationId);
    return saga === undefined || saga.sequence < row.sequence ? row : { ...row, ...saga };
  });
}

/** The sagas that wait to be shown: they are new, belong among the rows and still match the filter. */
export function waitingAfter(
  before: ReadonlySet<string>,
  changes: readonly SagaChange[],
  rows: readonly RowSaga[],
  order: Order = 'newest',
): ReadonlySet<string> {
  const known = new Set(rows.map((row) => row.correlationId));
  const oldest = rows.at(-1)?.startedAt ?? '';
  const after = new Set(before);
  for (const { matches, saga } of changes) {
    const belongs = order === 'newest' ? saga.startedAt >= oldest : order === 'stuck' && saga.stuckSince !== null;
    if (matches && belongs && !known.has(saga.correlationId)) after.add(saga.correlationId);
    else after.delete(saga.correlationId);
  }
  return after.size === before.size && [...after].every((id) => before.has(id)) ? before : after;
}
