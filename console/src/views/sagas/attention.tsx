import { Link } from 'wouter';
import type { SagaStatus } from '../../api/generated/graphql';
import { useNeeds } from '../../operator/needs';
import { plural } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { ALL, type Asked } from './filter';

/** How many sagas are stuck or parked, whenever they started. Null: not known yet. */
export type InNeed = ReadonlyMap<SagaStatus, number> | null;

export function useInNeed(): InNeed {
  const needs = useNeeds();
  return (
    needs &&
    new Map([
      ['STUCK', needs.stuck],
      ['PARKED', needs.parked],
    ])
  );
}

/** One line above every list, and no more: how many sagas need a person, and where they are. */
export function AttentionLine({ inNeed, change }: { inNeed: InNeed; change: (changes: Partial<Asked>) => void }) {
  const stuck = inNeed?.get('STUCK') ?? 0;
  const parked = inNeed?.get('PARKED') ?? 0;
  if (stuck + parked === 0) return null;
  const said = [
    ...(stuck > 0 ? [`${plural(stuck, 'saga')} stuck`] : []),
    ...(parked > 0 ? [`${plural(parked, 'saga')} parked`] : []),
  ];
  return (
    <p className="need" role="status">
      <Icon name="stuck" />
      <b>{said.join(', ')}.</b>
      <Link className="btn small" href="/saga/incidents">
        See why
      </Link>
      <button type="button" className="btn small" onClick={() => change(IN_NEED(stuck > 0 ? 'STUCK' : 'PARKED'))}>
        Show {stuck + parked === 1 ? 'it' : 'them'}
      </button>
    </p>
  );
}

const IN_NEED = (status: SagaStatus) => ({ ...ALL, status }) as const;
