import type { CompensationName, StepName } from '../api/generated/graphql';
import type { Saga } from '../api/saga.graphql';
import { Icon } from '../pieces/icon';
import { iconOf, type StateName, spins, stateOfStep, stateOfUndo } from './states';
import { plainName } from './words';
import './states.css';
import './queue.css';

/** `Saga.queue`: the steps that wait, run, are done and failed; the compensations as a stack, the next one on top. */
export function Queue({ saga }: { saga: Saga }) {
  const { queue } = saga;
  const executing = queue.executing;
  return (
    <>
      <dl className="queue">
        <Row name="Pending">{queue.pending.map((step) => stepChip(step, 'pending'))}</Row>
        <Row name="Executing">
          {executing !== null && stepChip(executing, stateOf(saga, executing) ?? 'executing')}
          {queue.compensating !== null && (
            <Chip state={undoStateOf(saga, queue.compensating)} word={plainName(queue.compensating)} />
          )}
        </Row>
        <Row name="Completed">{queue.completed.map((step) => stepChip(step, 'completed'))}</Row>
        <Row name="Failed">{queue.failed.map((step) => stepChip(step, 'failed'))}</Row>
      </dl>
      <Stack saga={saga} />
    </>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function stepChip(step: StepName, state: StateName) {
  return <Chip key={step} state={state} word={plainName(step)} />;
}

function Chip({ state, word }: { state: StateName; word: string }) {
  return (
    <span className="chip" data-s={state}>
      <Icon name={iconOf(state)} spins={spins(state)} />
      {word}
    </span>
  );
}

/** Last in, first out. Done ones stay, dashed, above the next ones; while none is due, those that would run. */
function Stack({ saga }: { saga: Saga }) {
  const { compensations, compensating, compensated } = saga.queue;
  if (saga.steps.every((step) => step.compensation === null)) return null;
  const rows: [CompensationName, StateName, string][] = [
    ...compensated.map((name): [CompensationName, StateName, string] => [name, 'compensated', 'undone']),
    ...(compensating === null ? [] : [underWay(saga, compensating)]),
    ...compensations
      .filter((name) => name !== compensating)
      .map((name): [CompensationName, StateName, string] => [name, 'pending', '']),
  ];
  return (
    <div className="stack">
      <p id="stack">To undo, last in first out</p>
      <ol aria-labelledby="stack">
        {rows.map(([name, state, word]) => (
          <li key={name} data-s={state}>
            <Icon name={iconOf(state)} />
            {plainName(name)}
            <span>{word}</span>
          </li>
        ))}
        {rows.length === 0 && <li className="nothing">Nothing</li>}
      </ol>
    </div>
  );
}

function underWay(saga: Saga, name: CompensationName): [CompensationName, StateName, string] {
  const state = undoStateOf(saga, name);
  return [name, state, state === 'compensating' ? 'now' : state];
}

function stateOf(saga: Saga, name: StepName): StateName | null {
  const step = saga.steps.find((other) => other.name === name);
  return step ? stateOfStep(step.status) : null;
}

function undoStateOf(saga: Saga, name: CompensationName): StateName {
  const undo = saga.steps.find((step) => step.undo?.name === name)?.undo;
  return undo ? stateOfUndo(undo.status) : 'compensating';
}
