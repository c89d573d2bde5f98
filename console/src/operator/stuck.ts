import type { Saga, SagaOnLine, SagaStep } from '../api/saga.graphql';
import { wouldLeave } from '../saga/given-up';
import { plainName } from '../saga/words';

/** The step or compensation that keeps failing in a stuck saga. */
export interface Stuck {
  readonly step: SagaStep;
  /** Its plain name; the compensation's if that is stuck. */
  readonly name: string;
  readonly isUndo: boolean;
  readonly attempt: number;
  readonly since: string | null;
  readonly nextAttemptAt: string | null;
  readonly why: string;
}

/** Null if nothing is stuck. */
export function stuckOf(saga: SagaOnLine): Stuck | null {
  for (const step of saga.steps) {
    if (step.undo?.status === 'STUCK')
      return { ...of(saga, step.undo), step, name: plainName(step.undo.name), isUndo: true };
    if (step.status === 'STUCK') return { ...of(saga, step), step, name: plainName(step.name), isUndo: false };
  }
  return null;
}

function of(
  saga: SagaOnLine,
  operation: SagaStep | NonNullable<SagaStep['undo']>,
): Pick<Stuck, 'attempt' | 'since' | 'nextAttemptAt' | 'why'> {
  const { attempt, nextAttemptAt, failure } = operation;
  return { attempt, since: saga.stuckSince, nextAttemptAt, why: failure?.message ?? 'No reason was given.' };
}

/** The consequences of a skip: the loss first, then which effects stay, and how the saga continues. */
export function consequencesOf(saga: Saga, { step, name, isUndo }: Stuck): string[] {
  const loss = wouldLeave(isUndo && step.undo !== null ? step.undo.name : step.name, saga);
  const stays = isUndo
    ? `The effect of ${plainName(step.name)} stays${step.summary === null ? '.' : `: ${step.summary}.`}`
    : `${name} is not carried out.`;
  return [
    ...(loss === null ? [] : [loss]),
    stays,
    nextOf(saga, step, isUndo),
    'The saga ends ABANDONED. Its history shows the skip and your reason.',
  ];
}

function nextOf(saga: SagaOnLine, step: SagaStep, isUndo: boolean): string {
  if (!isUndo) {
    const next = saga.steps.find((other) => other.index > step.index);
    return next ? `Then ${plainName(next.name)} runs.` : 'Nothing else is left to do.';
  }
  const next = saga.steps.findLast((other) => other.index < step.index && other.undo?.status === 'PENDING');
  return next?.undo ? `Then ${plainName(next.undo.name)} runs.` : 'Nothing else is left to undo.';
}
