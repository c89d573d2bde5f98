import type { SagaOnLine, SagaStep } from '../api/saga.graphql';
import { isGivenUp } from './given-up';
import { type StateName, stateOfStep, stateOfUndo } from './states';

/** How a stretch between two stations is drawn: dotted, being travelled, travelled, or to be travelled back. */
export type Rail = 'ghost' | 'live' | 'done' | 'todo';

/** A step as it stands on the line: the way out above, the way back beneath. */
export interface Station {
  readonly step: SagaStep;
  readonly out: StateName;
  /** `none`: nothing to compensate here. Null: this step is never compensated. */
  readonly back: StateName | 'none' | null;
  /** From this station to the next. */
  readonly railOut: Rail;
  /** From the next station back to this one. */
  readonly railBack: Rail;
  /** Whether the saga turned round here. */
  readonly turns: boolean;
}

/** The line of a saga. At most one of its rails moves. */
export function stationsOf(saga: SagaOnLine): Station[] {
  const turn = turnOf(saga);
  return saga.steps.map((step, index) => ({
    step,
    out: isGivenUp(saga, step) ? 'abandoned' : stateOfStep(step.status),
    back: backOf(saga, step, turn),
    railOut: turn !== null && index >= turn ? 'ghost' : railOutFrom(saga, step),
    railBack: turn !== null && index < turn ? railBackTo(saga, step) : 'ghost',
    turns: index === turn,
  }));
}

/** Where the saga turned round: at the step that failed, else at the last one begun. Null: it did not, or had not begun. */
export function turnOf(saga: SagaOnLine): number | null {
  const turned = saga.steps.some((step) => step.undo !== null) || (saga.failure !== null && saga.status !== 'RUNNING');
  if (!turned || saga.steps.every((step) => step.compensation === null)) return null;
  const failed = saga.steps.findIndex((step) => step.status === 'FAILED');
  const last = saga.steps.findLastIndex((step) => step.status !== 'PENDING');
  const turn = failed >= 0 ? failed : last;
  return turn >= 0 ? turn : null;
}

function backOf(saga: SagaOnLine, step: SagaStep, turn: number | null): Station['back'] {
  if (step.compensation === null) return null;
  if (step.undo?.status === 'SKIPPED') return 'abandoned';
  if (step.undo !== null) return stateOfUndo(step.undo.status);
  return turn === null && saga.status !== 'COMPLETED' && saga.failure === null ? 'pending' : 'none';
}

/** Travelled as soon as the step is done: the next one runs or is due. */
function railOutFrom(saga: SagaOnLine, { index, status }: SagaStep): Rail {
  const next = saga.steps[index + 1];
  if (next === undefined) return 'ghost';
  switch (next.status) {
    case 'PENDING':
      return saga.status === 'RUNNING' && (status === 'COMPLETED' || status === 'SKIPPED') ? 'live' : 'ghost';
    case 'EXECUTING':
    case 'RETRYING':
      return 'live';
    default:
      return 'done';
  }
}

/** The way back leads to the nearest step at or before this one that is undone. */
function railBackTo(saga: SagaOnLine, { index }: SagaStep): Rail {
  const aim = saga.steps.findLast((other) => other.index <= index && other.undo !== null);
  if (!aim?.undo) return 'ghost';
  const isNext = saga.status === 'COMPENSATING' && aim === saga.steps.findLast(isStillUndone);
  switch (aim.undo.status) {
    case 'PENDING':
      return isNext && aim.index === index ? 'live' : 'todo';
    case 'EXECUTING':
    case 'RETRYING':
      return aim.index === index ? 'live' : 'done';
    default:
      return 'done';
  }
}

function isStillUndone({ undo }: SagaStep): boolean {
  return undo !== null && undo.status !== 'COMPLETED' && undo.status !== 'SKIPPED';
}
