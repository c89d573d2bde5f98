import { Link } from 'wouter';
import type { SagaOnLine } from '../../api/saga.graphql';
import { ShortId } from '../../pieces/correlation-id';
import { count } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { plainName } from '../../saga/words';

/** What operators gave up and nobody has settled by hand yet, whenever that was: the oldest, and how many. */
export function Unsettled({ sagas, total }: { sagas: readonly SagaOnLine[]; total: number }) {
  return (
    <Panel
      title="To be settled by hand"
      end={total > 0 ? <Link href="/saga/incidents">{count(total)}</Link> : undefined}
    >
      {sagas.length === 0 ? (
        <Empty title="Nothing is left to settle">
          When an operator gives up a step or compensation, it is listed here with the reason.
        </Empty>
      ) : (
        <ul className="skips">
          {sagas.map((saga) => (
            <li key={saga.id}>
              <Link href={`/saga/${saga.correlationId}`}>
                <ShortId id={saga.correlationId} />
              </Link>
              {skippedIn(saga).map(({ name, reason }) => (
                <p key={name}>
                  <b>{name}</b> {reason}
                </p>
              ))}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function skippedIn({ steps }: SagaOnLine): { name: string; reason: string }[] {
  return steps.flatMap((step) => {
    if (step.undo?.status === 'SKIPPED') return { name: plainName(step.undo.name), reason: step.undo.summary ?? '' };
    return step.status === 'SKIPPED' && step.failure !== null
      ? { name: plainName(step.name), reason: step.summary ?? '' }
      : [];
  });
}
