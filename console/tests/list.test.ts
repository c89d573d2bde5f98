import { describe, expect, test } from 'vitest';
import type { RowSaga } from '../src/api/sagas.graphql';
import { updated, waitingAfter } from '../src/views/sagas/rows';
import { saga } from './sagas';

const NOBODY: ReadonlySet<string> = new Set();

function row(correlationId: string, sequence = 1, startedAt = '2026-11-23T08:30:00Z'): RowSaga {
  return { ...saga('RUNNING'), correlationId, sequence, startedAt } as unknown as RowSaga;
}

describe('updated', () => {
  test('rows keep their places and take what is newer', () => {
    const rows = updated([row('a'), row('b')], [row('b', 5), row('new')]);
    expect(rows.map(({ correlationId, sequence }) => [correlationId, sequence])).toEqual([
      ['a', 1],
      ['b', 5],
    ]);
  });

  test('a saga that was read earlier changes nothing', () => {
    expect(updated([row('a', 7)], [row('a', 3)])[0]?.sequence).toBe(7);
  });

  test('rows that nothing concerns are the same rows', () => {
    const rows = [row('a')];
    expect(updated(rows, [row('b')])).toBe(rows);
  });
});

describe('waitingAfter', () => {
  const rows = [row('a'), row('b', 1, '2026-11-23T08:00:00Z')];
  const change = (saga: RowSaga, matches = true) => ({ matches, saga });

  test('a saga that came up since waits', () => {
    expect(waitingAfter(NOBODY, [change(row('new'))], rows)).toEqual(new Set(['new']));
  });

  test('a saga that is shown, or older than the last row, does not', () => {
    const changes = [change(row('a')), change(row('old', 1, '2026-11-23T07:00:00Z'))];
    expect(waitingAfter(NOBODY, changes, rows)).toBe(NOBODY);
  });

  test('a saga that no longer meets what is asked waits no longer', () => {
    expect(waitingAfter(new Set(['new']), [change(row('new'), false)], rows)).toEqual(NOBODY);
  });
});
