import type { SagaEventType, SagaStatus, StepStatus } from '../api/generated/graphql';
import type { SagaOnLine, SagaStep } from '../api/saga.graphql';
import type { IconName } from '../pieces/icon';
import { statusWord } from './words';

/** What is drawn: a shape, a hue and a word each. The API's statuses map to these. */
export type StateName =
  | 'pending'
  | 'running'
  | 'executing'
  | 'retrying'
  | 'completed'
  | 'failed'
  | 'skipped'
  | 'compensating'
  | 'compensated'
  | 'stuck'
  | 'abandoned'
  | 'held';

const OF_SAGA: Readonly<Record<SagaStatus, StateName>> = {
  PENDING: 'pending',
  RUNNING: 'running',
  WAITING: 'held',
  COMPENSATING: 'compensating',
  COMPLETED: 'completed',
  COMPENSATED: 'compensated',
  STUCK: 'stuck',
  PARKED: 'stuck',
  ABANDONED: 'abandoned',
};

const OF_STEP: Readonly<Record<StepStatus, StateName>> = {
  PENDING: 'pending',
  EXECUTING: 'executing',
  RETRYING: 'retrying',
  WAITING: 'held',
  COMPLETED: 'completed',
  FAILED: 'failed',
  SKIPPED: 'skipped',
  STUCK: 'stuck',
};

const OF_UNDO: Readonly<Record<StepStatus, StateName>> = {
  PENDING: 'pending',
  EXECUTING: 'compensating',
  RETRYING: 'retrying',
  WAITING: 'held',
  COMPLETED: 'compensated',
  FAILED: 'failed',
  SKIPPED: 'skipped',
  STUCK: 'stuck',
};

const OF_EVENT: Readonly<Record<SagaEventType, StateName>> = {
  SAGA_STARTED: 'running',
  STEP_STARTED: 'executing',
  STEP_COMPLETED: 'completed',
  STEP_FAILED: 'failed',
  STEP_RETRYING: 'retrying',
  STEP_SKIPPED: 'skipped',
  STEP_WAITING: 'held',
  STEP_RESUMED: 'executing',
  HOLD_EXPIRED: 'held',
  CANCEL_REQUESTED: 'compensating',
  COMPENSATION_STARTED: 'compensating',
  COMPENSATION_COMPLETED: 'compensated',
  COMPENSATION_RETRYING: 'compensating',
  COMPENSATION_SKIPPED: 'skipped',
  COMPENSATION_WAITING: 'held',
  SAGA_COMPLETED: 'completed',
  SAGA_COMPENSATED: 'compensated',
  SAGA_STUCK: 'stuck',
  SAGA_PARKED: 'stuck',
  SAGA_RESUMED: 'running',
  SAGA_ABANDONED: 'abandoned',
};

export const stateOfSaga = statesFrom(OF_SAGA);
export const stateOfStep = statesFrom(OF_STEP);
export const stateOfUndo = statesFrom(OF_UNDO);
export const stateOfEvent = statesFrom(OF_EVENT);

/** How a name is drawn. A name of a newer release that the console does not know is drawn neutrally. */
function statesFrom<Name extends string>(states: Readonly<Record<Name, StateName>>): (name: Name) => StateName {
  return (name) => (Object.hasOwn(states, name) ? states[name] : 'pending');
}

/** The icon of a state: its outline alone tells which it is. */
export function iconOf(state: StateName): IconName {
  if (state === 'running') return 'executing';
  if (state === 'abandoned') return 'failed';
  return state;
}

/** Whether the icon turns: it does for a state that goes forward. */
export function spins(state: StateName): boolean {
  return state === 'running' || state === 'executing';
}

/** The saga's state and its word; where a step says more (RETRYING in a RUNNING saga), the step's. */
export function badgeOf(saga: Pick<SagaOnLine, 'status' | 'steps'>): { state: StateName; word: string } {
  const active = saga.status === 'RUNNING' || saga.status === 'COMPENSATING';
  if (active && saga.steps.some(isRetrying)) return { state: 'retrying', word: 'Retrying' };
  return { state: stateOfSaga(saga.status), word: statusWord(saga.status) };
}

function isRetrying(step: SagaStep): boolean {
  return (step.undo ?? step).status === 'RETRYING';
}

export const TERMINAL: ReadonlySet<SagaStatus> = new Set(['COMPLETED', 'COMPENSATED', 'ABANDONED']);
