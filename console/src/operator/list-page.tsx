import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Trouble } from '../api/client';
import { count } from '../pieces/format';
import { Failure, Loading } from '../pieces/notices';
import { ZoneChoice } from '../pieces/zone';
import { useTitle } from '../shell/route-focus';
import { Refused } from './refused';
import './operator.css';

interface Page<Node> {
  readonly edges: readonly { readonly node: Node }[];
  readonly totalCount: number;
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

/** A page of an operators' list, the newest first, with its heading, its troubles, and the way to the older ones. */
export function ListPage<Node>({
  title,
  lead,
  filters,
  name,
  what,
  rows,
  page,
  trouble,
  again,
  empty,
  instead = null,
  onOlder,
  children,
}: {
  title: string;
  lead: string;
  filters?: ReactNode;
  /** What is listed: as the label of the list, and within a sentence. */
  name: string;
  what: string;
  /** How many rows its page has while it is read. */
  rows: number;
  page: Page<Node> | null;
  trouble: Trouble | null;
  again: () => void;
  empty: ReactNode;
  /** Shown in place of the list, whatever was read. */
  instead?: ReactNode;
  onOlder: (cursor: string) => void;
  children: (nodes: readonly Node[]) => ReactNode;
}) {
  useTitle(title);
  return (
    <>
      <div className="head">
        <div>
          <h1>{title}</h1>
          <p>
            {lead} <ZoneChoice />
          </p>
        </div>
        <div className="end">
          <Link className="btn" href="/saga/incidents">
            Incidents
          </Link>
        </div>
      </div>
      {filters}
      {trouble !== null && (
        <Refused trouble={trouble}>
          <Failure
            trouble={trouble}
            meaning={page === null ? `${what} could not be read.` : 'The shown data may be outdated.'}
            onRetry={again}
          />
        </Refused>
      )}
      <section className="panel" aria-label={`${name}, newest first`}>
        {instead ??
          (page === null ? (
            trouble === null && <Loading what={what.toLowerCase()} rows={rows} />
          ) : page.edges.length === 0 ? (
            empty
          ) : (
            <>
              {children(page.edges.map(({ node }) => node))}
              <div className="foot">
                <span>
                  {count(page.edges.length)} of {count(page.totalCount)}
                </span>
                {page.pageInfo.hasNextPage && (
                  <button type="button" className="btn small" onClick={() => onOlder(page.pageInfo.endCursor ?? '')}>
                    Older
                  </button>
                )}
              </div>
            </>
          ))}
      </section>
    </>
  );
}
