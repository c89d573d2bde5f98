import type { SagaOnLine } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { badgeOf, iconOf, type StateName, spins } from './states';
import './states.css';

/** A state as a word with its icon, always both. */
export function Badge({ state, word }: { state: StateName; word: string }) {
  return (
    <span className="st" data-s={state}>
      <Icon name={iconOf(state)} spins={spins(state)} />
      {word}
    </span>
  );
}

/** Where a saga stands. */
export function SagaBadge({ saga }: { saga: Pick<SagaOnLine, 'status' | 'steps'> }) {
  return <Badge {...badgeOf(saga)} />;
}
