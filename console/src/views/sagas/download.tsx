import { useRef, useState } from 'react';
import { Link } from 'wouter';
import { read } from '../../api/read';
import { type RowSaga, SagaPage } from '../../api/sagas.graphql';
import { count } from '../../pieces/format';
import { saveFile } from '../../pieces/save';
import { csvOf, jsonLinesOf } from './csv';
import { type Asked, filterOf, ORDERS } from './filter';
import type { SagaList } from './list';

const PAGE_MAX = 100;
const SAGAS_MAX = 10_000;

type Kind = 'csv' | 'jsonl';
const KINDS = {
  csv: { type: 'text/csv', of: csvOf },
  jsonl: { type: 'application/x-ndjson', of: jsonLinesOf },
} as const;

/** Saves all sagas that are listed, on every page, as a file. */
export function Download({ asked, list }: { asked: Asked; list: SagaList }) {
  const [said, setSaid] = useState('');
  const [isBusy, setIsBusy] = useState(false);
  const isStopped = useRef(false);
  const download = async (kind: Kind): Promise<void> => {
    isStopped.current = false;
    setIsBusy(true);
    const answer = asked.q === '' ? await readAll(asked, (done) => setSaid(done), isStopped) : { sagas: list.rows };
    setIsBusy(false);
    if ('trouble' in answer) return setSaid(`Nothing was saved: ${answer.trouble}`);
    const { type, of } = KINDS[kind];
    saveFile(`sagas-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${kind}`, type, of(answer.sagas));
    const all = asked.q === '' ? list.total : answer.sagas.length;
    setSaid(
      answer.sagas.length < all && answer.sagas.length >= SAGAS_MAX
        ? `Saved the first ${count(answer.sagas.length)} of ${count(all)}; narrow the filter for the others.`
        : `Saved ${count(answer.sagas.length)}.`,
    );
  };
  return (
    <span className="download">
      {isBusy ? (
        <button
          type="button"
          className="btn small"
          onClick={() => {
            isStopped.current = true;
          }}
        >
          Stop
        </button>
      ) : (
        <>
          <button type="button" className="btn small" onClick={() => void download('csv')}>
            Save as CSV
          </button>
          <button type="button" className="btn small" onClick={() => void download('jsonl')}>
            JSON lines
          </button>
        </>
      )}
      <Link href="/saga/file">Open a saved saga</Link>
      <span role="status">{said}</span>
    </span>
  );
}

async function readAll(
  asked: Asked,
  tell: (said: string) => void,
  isStopped: { readonly current: boolean },
): Promise<{ sagas: readonly RowSaga[] } | { trouble: string }> {
  // One filter for all pages: the window does not move on meanwhile.
  const filter = filterOf(asked);
  // A saga that moves in the list meanwhile, as one that is stuck no longer, may come twice: the later counts.
  const sagas = new Map<string, RowSaga>();
  let after: string | null = null;
  do {
    const answer: Awaited<ReturnType<typeof page>> = await page(filter, after, asked);
    if (answer.trouble) return { trouble: answer.trouble.message };
    if (isStopped.current) return { trouble: 'stopped.' };
    const { edges, pageInfo, totalCount } = answer.data.sagas;
    for (const { node } of edges) sagas.set(node.correlationId, node);
    tell(`${count(sagas.size)} of ${count(totalCount)}`);
    after = pageInfo.hasNextPage ? (pageInfo.endCursor ?? null) : null;
  } while (after !== null && sagas.size < SAGAS_MAX);
  return { sagas: [...sagas.values()] };
}

const page = (filter: ReturnType<typeof filterOf>, after: string | null, { order }: Asked) =>
  read(SagaPage, { filter, first: PAGE_MAX, after, orderBy: ORDERS[order].value });
