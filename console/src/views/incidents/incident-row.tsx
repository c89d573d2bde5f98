import { useId, useRef, useState } from 'react';
import { useNow } from '../../api/clock';
import type { BulkActionKind } from '../../api/generated/graphql';
import type { Incident } from '../../api/incidents.graphql';
import { useMay } from '../../api/viewer';
import { at } from '../../base-path';
import { age } from '../../operator/age';
import { stakeSaid } from '../../operator/stake';
import { plural } from '../../pieces/format';
import { Badge } from '../../saga/badge';
import { statusWord } from '../../saga/words';
import { AffectedSagas } from './affected';
import { BulkForm } from './bulk-form';
import { filterOf, keyOf, placeOf } from './cause';
import { Probe } from './probe';
import type { Verdict } from './verdict';

/** One incident: what is wrong and where, how many it affects, what is at stake, and what can be done. */
export function IncidentRow({
  incident,
  isOpen,
  onOpen,
  onStarted,
}: {
  incident: Incident;
  isOpen: boolean;
  onOpen: () => void;
  onStarted: () => void;
}) {
  const mayMend = useMay('sagas:mend');
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [asking, setAsking] = useState<BulkActionKind | null>(null);
  const opener = useRef<HTMLButtonElement | null>(null);
  const close = (): void => {
    setAsking(null);
    opener.current?.focus();
  };
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
        <a className="btn plain" href={at(`/saga/runbook#${incident.runbook}`)}>
          Runbook
        </a>
        {mayMend && <Probe filter={filter} onVerdict={setVerdict} />}
        {mayMend &&
          choicesOf(incident, verdict).map(({ kind, word, isFirst }) => (
            <button
              key={kind}
              type="button"
              className={isFirst ? 'btn primary' : 'btn'}
              aria-expanded={asking === kind}
              onClick={({ currentTarget }) => {
                opener.current = currentTarget;
                setAsking(asking === kind ? null : kind);
              }}
            >
              {word}
            </button>
          ))}
      </div>
      {asking !== null && (
        <BulkForm
          key={asking}
          incident={incident}
          kind={asking}
          onClose={close}
          onStarted={() => {
            close();
            onStarted();
          }}
        />
      )}
      {isOpen && (
        <div id={shown}>
          <AffectedSagas filter={filter} known={keyOf(incident)} />
        </div>
      )}
    </article>
  );
}

interface Choice {
  readonly kind: BulkActionKind;
  readonly word: string;
  /** It is what one would do now. */
  readonly isFirst: boolean;
}

/** What can be done to all of them. A skip needs a step; what is being undone already cannot be cancelled. */
function choicesOf({ status, step, compensation }: Incident, verdict: Verdict | null): Choice[] {
  const isFirst = verdict === 'went on';
  const word = verdict === null ? 'all' : 'the rest';
  if (status === 'PARKED') return [{ kind: 'UNPARK', word: `Unpark ${word}`, isFirst }];
  const choices: Choice[] = [{ kind: 'RETRY', word: `Retry ${word}`, isFirst }];
  if (step !== null) choices.push({ kind: 'SKIP', word: `Skip in ${word}`, isFirst: false });
  if (compensation === null) choices.push({ kind: 'CANCEL', word: `Cancel ${word}`, isFirst: false });
  return choices;
}
