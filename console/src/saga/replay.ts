import type { SagaStatus, StepStatus } from '../api/generated/graphql';
import type { Saga, SagaEvent, SagaStep } from '../api/saga.graphql';

/** The saga as it stood after the first `count` of its events; after all of them, as it was saved. */
export function sagaAfter(saga: Saga, events: readonly SagaEvent[], count: number): Saga {
  if (count >= events.length) return saga;
  const past = events.slice(0, count);
  const turned = past.find(({ type, step }) => TURNS.has(type) && isUndone(saga, step));
  return {
    ...saga,
    status: statusAfter(past, turned !== undefined),
    sequence: past.at(-1)?.sequence ?? 0,
    finishedAt: null,
    stuckSince: null,
    awaiting: null,
    settlement: null,
    atStake: null,
    failure: turned === undefined ? null : saga.failure,
    steps: saga.steps.map((step) => stepAfter(step, past, turned !== undefined)),
  };
}

/** What turns a saga round, if anything of it is undone. */
const TURNS: ReadonlySet<string> = new Set(['STEP_FAILED', 'HOLD_EXPIRED', 'CANCEL_REQUESTED', 'COMPENSATION_STARTED']);

function isUndone(saga: Saga, step: SagaEvent['step']): boolean {
  return step !== null || saga.steps.some(({ undo }) => undo !== null);
}

const STEPS: Readonly<Partial<Record<SagaEvent['type'], StepStatus>>> = {
  STEP_STARTED: 'EXECUTING',
  STEP_RESUMED: 'EXECUTING',
  STEP_RETRYING: 'RETRYING',
  STEP_WAITING: 'WAITING',
  STEP_COMPLETED: 'COMPLETED',
  STEP_FAILED: 'FAILED',
  STEP_SKIPPED: 'SKIPPED',
};
const UNDOS: Readonly<Partial<Record<SagaEvent['type'], StepStatus>>> = {
  COMPENSATION_STARTED: 'EXECUTING',
  COMPENSATION_RETRYING: 'RETRYING',
  COMPENSATION_WAITING: 'WAITING',
  COMPENSATION_COMPLETED: 'COMPLETED',
  COMPENSATION_SKIPPED: 'SKIPPED',
};

function stepAfter(step: SagaStep, past: readonly SagaEvent[], isTurned: boolean): SagaStep {
  const own = past.filter((event) => event.step === step.name);
  const out = standOf(
    own.filter((event) => event.compensation === null),
    STEPS,
  );
  const back = standOf(
    own.filter((event) => event.compensation !== null),
    UNDOS,
  );
  const undo = isTurned && step.undo !== null ? { ...step.undo, ...back } : null;
  return {
    ...step,
    ...out,
    summary: out.status === 'COMPLETED' || out.status === 'SKIPPED' ? step.summary : null,
    undo: undo && { ...undo, summary: undo.status === step.undo?.status ? undo.summary : null },
  };
}

type Stand = Pick<SagaStep, 'status' | 'attempt' | 'startedAt' | 'finishedAt' | 'nextAttemptAt' | 'failure'>;

/** How one operation stands after its own events. */
function standOf(own: readonly SagaEvent[], statuses: Readonly<Partial<Record<SagaEvent['type'], StepStatus>>>): Stand {
  const stand: { -readonly [Name in keyof Stand]: Stand[Name] } = {
    status: 'PENDING',
    attempt: 0,
    startedAt: null,
    finishedAt: null,
    nextAttemptAt: null,
    failure: null,
  };
  for (const { type, attempt, at, failure } of own) {
    stand.status = type === 'SAGA_STUCK' ? 'STUCK' : (statuses[type] ?? stand.status);
    stand.attempt = attempt ?? stand.attempt;
    stand.startedAt ??= at;
    stand.failure = failure;
    const isOver = stand.status === 'COMPLETED' || stand.status === 'FAILED' || stand.status === 'SKIPPED';
    stand.finishedAt = isOver ? at : null;
  }
  return stand;
}

const SAGAS: Readonly<Partial<Record<SagaEvent['type'], SagaStatus>>> = {
  SAGA_COMPLETED: 'COMPLETED',
  SAGA_COMPENSATED: 'COMPENSATED',
  SAGA_ABANDONED: 'ABANDONED',
  SAGA_STUCK: 'STUCK',
  SAGA_PARKED: 'PARKED',
  STEP_WAITING: 'WAITING',
};

function statusAfter(past: readonly SagaEvent[], isTurned: boolean): SagaStatus {
  const last = past.at(-1);
  return (last && SAGAS[last.type]) ?? (isTurned ? 'COMPENSATING' : past.length <= 1 ? 'PENDING' : 'RUNNING');
}
