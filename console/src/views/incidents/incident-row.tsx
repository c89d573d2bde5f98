import { useId, useState } from 'react';
import { useNow } from '../../api/clock';
import type { Incident } from '../../api/incidents.graphql';
import { useMay } from '../../api/viewer';
import { age } from '../../operator/age';
import { stakeSaid } from '../../operator/stake';
import { plural } from '../../pieces/format';
import { Badge } from '../../saga/badge';
import { statusWord } from '../../saga/words';
import { AffectedSagas } from './affected';
import { filterOf, keyOf, placeOf } from './cause';
import { Probe } from './probe';
import type { Verdict } from './verdict';

/** One incident: what is wrong and where, how many it affects, what is at stake, and what can be done. */
export function IncidentRow({ incident, isOpen, onOpen }: { incident: Incident; isOpen: boolean; onOpen: () => void }) {
  const mayMend = useMay('sagas:mend');
  const [, setVerdict] = useState<Verdict | null>(null);
  const now = useNow();
  const shown = useId();
  const { status, failureCode, message, sagas, oldestSince, newestSince, money, points, seats } = incident;
  const filter = filterOf(incident);
  return (
    <article className="incident hazard" aria-label={`${placeOf(incident)} ${failureCode}`}>
      <div className="incident-line">
        <Badge state="stuck" word={statusWord(status)} />
        <div className="what">
          <h2>
            {placeOf(incident)} <span className="api">{failureCode}</span>
          </h2>
          <p className="newest">{message}</p>
        </div>
        <dl className="sums">
          <div>
            <dt>Sagas</dt>
            <dd>{plural(sagas, 'saga')}</dd>
          </div>
          <div>
            <dt>At stake</dt>
            <dd>{stakeSaid(money, points, seats) || 'nothing'}</dd>
          </div>
          <div>
            <dt>Since</dt>
            <dd>
              {age(oldestSince, now)}
              {sagas > 1 && <span className="quiet">, the newest {age(newestSince, now)}</span>}
            </dd>
          </div>
        </dl>
      </div>
      <div className="incident-acts">
        <button
          type="button"
          className="btn"
          aria-expanded={isOpen}
          aria-controls={isOpen ? shown : undefined}
          onClick={onOpen}
        >
          Who is affected
        </button>
        {mayMend && <Probe filter={filter} onVerdict={setVerdict} />}
      </div>
      {isOpen && (
        <div id={shown}>
          <AffectedSagas filter={filter} known={keyOf(incident)} />
        </div>
      )}
    </article>
  );
}
