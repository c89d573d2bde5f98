import type { SagaOnLine } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { iconOf, type StateName, spins, stateOfUndo } from './states';
import { type Station, stationsOf } from './stations';
import './states.css';

/** The line at its smallest, for rows: one icon a step, which says the way back where that has begun. */
export function MiniLine({ saga }: { saga: SagaOnLine }) {
  const stations = stationsOf(saga);
  const shown = stations.map(shownAt);
  return (
    <span className="mini" role="img" aria-label={`Steps: ${shown.map((state) => WORDS[state] ?? state).join(', ')}`}>
      {stations.map((station, index) => (
        <Stop
          key={station.step.id}
          state={shown[index] ?? 'pending'}
          rail={index > 0 ? railTo(stations, index) : null}
        />
      ))}
    </span>
  );
}

const WORDS: Partial<Record<StateName, string>> = {
  compensating: 'undoing',
  compensated: 'undone',
  held: 'waiting',
};

function Stop({ state, rail }: { state: StateName; rail: string | null }) {
  return (
    <>
      {rail !== null && <i data-r={rail} />}
      <Icon name={iconOf(state)} spins={spins(state)} state={state} />
    </>
  );
}

function shownAt({ step, out }: Station): StateName {
  return step.undo === null || step.undo.status === 'PENDING' ? out : stateOfUndo(step.undo.status);
}

/** The rail before a station, by the one of the two ways that is travelled now. */
function railTo(stations: readonly Station[], index: number): string {
  const before = stations[index - 1];
  if (before === undefined) return 'ghost';
  if (before.railBack === 'done' || before.railBack === 'live') return 'back';
  return before.railBack === 'todo' ? 'ghost' : before.railOut;
}
