import type { SagaStatus } from '../../api/generated/graphql';
import { useRead } from '../../api/read';
import { SagasInNeed } from '../../api/sagas.graphql';
import { plural } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import type { Asked } from './filter';

const COUNT_MS = 5_000;

/** How many sagas are stuck or parked, whenever they started. Null: not known yet. */
export type InNeed = ReadonlyMap<SagaStatus, number> | null;

export function useInNeed(): InNeed {
  const { data } = useRead(SagasInNeed, 'in need', () => ({}), COUNT_MS);
  if (data === null) return null;
  return new Map([
    ['STUCK', data.stuck.totalCount],
    ['PARKED', data.parked.totalCount],
  ]);
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
      <button type="button" className="btn small" onClick={() => change(IN_NEED(stuck > 0 ? 'STUCK' : 'PARKED'))}>
        Show {stuck + parked === 1 ? 'it' : 'them'}
      </button>
    </p>
  );
}

const IN_NEED = (status: SagaStatus) => ({ status, window: 'any' }) as const;
