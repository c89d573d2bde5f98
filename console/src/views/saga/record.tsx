import { Link } from 'wouter';
import { useRead } from '../../api/read';
import type { Saga } from '../../api/saga.graphql';
import { SagaRecord } from '../../api/sagas.graphql';
import { useMay } from '../../api/viewer';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { plainName } from '../../saga/words';

const SHOWN_MAX = 20;

/** What operators did to this saga: who, when and why. */
export function Record({ saga: { correlationId, sequence, settlement } }: { saga: Saga }) {
  const key = useMay('sagas:read') ? `${correlationId} ${sequence} ${settlement?.at}` : null;
  const { data } = useRead(SagaRecord, key, () => ({ correlationId, first: SHOWN_MAX }));
  const actions = data?.saga?.operatorActions;
  if (!actions || actions.totalCount === 0) return null;
  return (
    <Panel title="What operators did" end={<Link href="/saga/actions">The whole record</Link>}>
      <ul className="pad record" aria-label="What operators did to this saga, newest first">
        {actions.edges.map(({ node: { id, at, kind, reason, by } }) => (
          <li key={id}>
            <b>{plainName(kind)}</b> <Time at={at} />
            <br />
            <span className="quiet">{by.subject ?? by.role.toLowerCase()}</span>
            {reason !== null && `: ${reason}`}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
