import { useRef, useState } from 'react';
import { Link } from 'wouter';
import { type Affected, UnsettledSagas } from '../../api/incidents.graphql';
import { useRead } from '../../api/read';
import { useMay } from '../../api/viewer';
import { stakeOf } from '../../operator/stake';
import { ShortId } from '../../pieces/correlation-id';
import { count, plural } from '../../pieces/format';
import { Empty, Failure, Loading } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { plainName } from '../../saga/words';
import { FlightsOf, whoIn } from './affected';
import { SettleForm } from './settle-form';

const PAGE = 20;
const READ_MS = 5_000;

/** What operators gave up and nobody has settled by hand yet, the oldest first. No sum is forgotten. */
export function Worklist({ onChanged }: { onChanged: () => void }) {
  const [after, setAfter] = useState<string | null>(null);
  const { data, trouble, again } = useRead(UnsettledSagas, after ?? '', () => ({ first: PAGE, after }), READ_MS);
  const [settled, setSettled] = useState('');
  const total = data?.sagas.totalCount ?? 0;
  const onSettled = (saga: Affected): void => {
    setSettled(`Settled: saga ${saga.correlationId.slice(0, 13)}.`);
    again();
    onChanged();
  };
  return (
    <Panel
      title="To be settled by hand"
      end={data && total > 0 ? plural(total, 'saga') : undefined}
      className="worklist"
    >
      <p className="vh" role="status">
        {settled}
      </p>
      {data === null ? (
        trouble === null ? (
          <Loading what="the worklist" />
        ) : (
          <Failure trouble={trouble} meaning="The worklist could not be read." onRetry={again} />
        )
      ) : total === 0 ? (
        <Empty title="Nothing is left to settle">
          When an operator gives up a step or compensation, its saga stays here until somebody says how it was settled.
        </Empty>
      ) : (
        <>
          <ul>
            {data.sagas.edges.map(({ node }) => (
              <Item key={node.id} saga={node} onSettled={() => onSettled(node)} />
            ))}
          </ul>
          {(after !== null || data.sagas.pageInfo.hasNextPage) && (
            <div className="foot">
              <span>
                {count(data.sagas.edges.length)} of {count(total)}, the oldest first
              </span>
              {after !== null && (
                <button type="button" className="btn small" onClick={() => setAfter(null)}>
                  First page
                </button>
              )}
              {data.sagas.pageInfo.hasNextPage && (
                <button
                  type="button"
                  className="btn small"
                  onClick={() => setAfter(data.sagas.pageInfo.endCursor ?? null)}
                >
                  Next page
                </button>
              )}
            </div>
          )}
        </>
      )}
    </Panel>
  );
}

function Item({ saga, onSettled }: { saga: Affected; onSettled: () => void }) {
  const mayMend = useMay('sagas:mend');
  const [isOpen, setIsOpen] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const close = (): void => {
    setIsOpen(false);
    opener.current?.focus();
  };
  const stake = stakeOf(saga.atStake);
  return (
    <li>
      <div className="owed">
        <b>{stake === '' ? 'Nothing is at stake' : stake}</b>
        <Link href={`/saga/${saga.correlationId}`}>
          <ShortId id={saga.correlationId} />
        </Link>
        <span>{whoIn(saga)}</span>
        <span>
          <FlightsOf saga={saga} />
        </span>
        {saga.finishedAt !== null && (
          <span className="quiet">
            since <Time at={saga.finishedAt} />
          </span>
        )}
        {mayMend && (
          <button
            type="button"
            className="btn small"
            ref={opener}
            aria-expanded={isOpen}
            onClick={() => setIsOpen(!isOpen)}
          >
            Settle
          </button>
        )}
      </div>
      {givenUpIn(saga).map(({ name, reason }) => (
        <p key={name} className="gave-up">
          {name} was given up: {reason}
        </p>
      ))}
      {isOpen && <SettleForm correlationId={saga.correlationId} onSettled={onSettled} onClose={close} />}
    </li>
  );
}

/** What operators gave up in a saga, with the reasons that they gave. */
function givenUpIn({ steps }: Affected): { name: string; reason: string }[] {
  return steps.flatMap((step) => {
    if (step.undo?.status === 'SKIPPED') return { name: plainName(step.undo.name), reason: step.undo.summary ?? '' };
    return step.status === 'SKIPPED' && step.failure !== null
      ? { name: plainName(step.name), reason: step.summary ?? '' }
      : [];
  });
}
