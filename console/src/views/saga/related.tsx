import { Link } from 'wouter';
import type { Saga } from '../../api/saga.graphql';
import { useMay } from '../../api/viewer';
import { Panel } from '../../pieces/panel';

/** Lists of the sagas that have something in common with this one: flight, member, name. */
export function Related({ saga }: { saga: Saga }) {
  if (!useMay('sagas:read')) return null;
  const { memberNumber: member } = saga;
  const names = new Set(saga.passengers.map(({ familyName }) => familyName).filter((name) => name !== '*'));
  return (
    <Panel title="Related sagas">
      <ul className="pad related">
        {saga.flights.map(({ id, number }, index) => (
          <li key={`${id}-${index}`}>
            <Link href={`/saga?flight=${encodeURIComponent(id)}&window=any`}>
              Flight <span className="mono">{number}</span>
            </Link>
          </li>
        ))}
        {member !== null && (
          <li>
            <Link href={`/saga?member=${encodeURIComponent(member)}&window=any`}>
              Member <span className="mono">{member}</span>
            </Link>
          </li>
        )}
        {[...names].map((name) => (
          <li key={name}>
            <Link href={`/saga?q=${encodeURIComponent(name)}`}>Name {name}</Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
