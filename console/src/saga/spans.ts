import type { SagaEvent, SagaOnLine } from '../api/saga.graphql';
import { plainName } from './words';

/** One attempt, or one wait: when it began and ended, in milliseconds since the saga began, and what came of it. */
export interface Attempt {
  readonly from: number;
  /** Null while it is under way. */
  readonly to: number | null;
  readonly outcome: 'completed' | 'failed' | 'retrying' | 'waiting' | 'stuck' | 'running';
}

/** All attempts of a step or of a compensation. */
export interface Span {
  readonly key: string;
  readonly name: string;
  readonly isUndo: boolean;
  readonly attempts: readonly Attempt[];
}

/** Each step begun, in order, then each compensation in the order in which they run; those to come have no attempts. */
export function spansOf(saga: SagaOnLine, events: readonly SagaEvent[]): Span[] {
  const began = Date.parse(saga.startedAt);
  const steps = saga.steps
    .filter((step) => step.attempt > 0 || step.status === 'WAITING')
    .map((step) => ({
      key: step.name,
      name: plainName(step.name),
      isUndo: false,
      attempts: attemptsOf(events, began, (event) => event.step === step.name && event.compensation === null),
    }));
  const undos = saga.steps.toReversed().flatMap(({ undo }) =>
    undo === null
      ? []
      : {
          key: `undo ${undo.name}`,
          name: plainName(undo.name),
          isUndo: true,
          attempts: attemptsOf(events, began, (event) => event.compensation === undo.name),
        },
  );
  return [...steps, ...undos];
}

/** A try that fails while the saga is stuck is drawn so. */
function attemptsOf(events: readonly SagaEvent[], began: number, isOurs: (event: SagaEvent) => boolean): Attempt[] {
  const attempts: Attempt[] = [];
  let isStuck = false;
  for (const event of events) {
    if (event.type === 'SAGA_STUCK') isStuck = true;
    if (event.type === 'SAGA_RESUMED') isStuck = false;
    const outcome = isOurs(event) ? outcomeOf(event.type) : null;
    if (outcome === null) continue;
    const at = Date.parse(event.at) - began;
    const last = attempts.at(-1);
    if (last !== undefined && last.to === null) {
      attempts[attempts.length - 1] = { ...last, to: at, outcome: endOf(last, event, outcome, isStuck) };
    }
    if (outcome === 'running' || outcome === 'waiting') attempts.push({ from: at, to: null, outcome });
  }
  return attempts;
}

function endOf(
  { outcome: before }: Attempt,
  { failure }: SagaEvent,
  outcome: Attempt['outcome'],
  isStuck: boolean,
): Attempt['outcome'] {
  if (before === 'waiting') return before;
  if (outcome === 'waiting') return failure === null ? 'completed' : 'retrying';
  return isStuck && outcome === 'retrying' ? 'stuck' : outcome;
}

function outcomeOf(type: SagaEvent['type']): Attempt['outcome'] | null {
  switch (type) {
    case 'STEP_STARTED':
    case 'COMPENSATION_STARTED':
      return 'running';
    case 'STEP_COMPLETED':
    case 'COMPENSATION_COMPLETED':
      return 'completed';
    case 'STEP_FAILED':
      return 'failed';
    case 'STEP_RETRYING':
    case 'COMPENSATION_RETRYING':
      return 'retrying';
    case 'STEP_WAITING':
    case 'COMPENSATION_WAITING':
      return 'waiting';
    case 'SAGA_STUCK':
      return 'stuck';
    default:
      return null;
  }
}
