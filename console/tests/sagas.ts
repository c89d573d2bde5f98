import type { SagaDefinition } from '../src/api/definitions.graphql';
import type { CompensationName, SagaStatus, StepName, StepStatus } from '../src/api/generated/graphql';
import type { Saga, SagaEvent, SagaStep } from '../src/api/saga.graphql';
import { previewOf } from '../src/views/test/definition';

const AT = '2026-11-23T08:30:00Z';

/** A step that has one compensation, or none, and that was undone, or not. */
export function step(
  index: number,
  name: StepName,
  status: StepStatus,
  compensation: CompensationName | null = null,
  undo: StepStatus | null = null,
): SagaStep {
  const times = { attempt: 1, nextAttemptAt: null, startedAt: AT, finishedAt: AT, summary: null, failure: null };
  return {
    id: `step-${index}`,
    index,
    name,
    status,
    compensation,
    ...times,
    undo: undo === null || compensation === null ? null : { name: compensation, status: undo, ...times },
  };
}

/** The four steps of BOOK_AND_EARN with these statuses, and with these of their compensations. */
export function bookingSteps(statuses: readonly StepStatus[], undos: readonly (StepStatus | null)[] = []): SagaStep[] {
  const line: [StepName, CompensationName][] = [
    ['RESERVE_SEAT', 'CANCEL_SEAT'],
    ['AUTHORIZE_PAYMENT', 'CANCEL_PAYMENT'],
    ['AWARD_MILES', 'REVERSE_MILES'],
    ['CONFIRM_BOOKING', 'CANCEL_BOOKING'],
  ];
  return line.map(([name, compensation], index) =>
    step(index, name, statuses[index] ?? 'PENDING', compensation, undos[index] ?? null),
  );
}

/** A saga that has just been accepted, but for what is given. */
export function saga(status: SagaStatus, given: Partial<Saga> = {}): Saga {
  return {
    ...previewOf({ name: 'BOOK_AND_EARN', version: 1, steps: [] } as unknown as SagaDefinition),
    id: 'saga-1',
    correlationId: '0198c0de-0000-7000-8000-000000000001',
    status,
    sequence: 1,
    startedAt: AT,
    steps: bookingSteps([]),
    ...given,
  };
}

/** The tries of one step, one event each: `count` starts, each followed by a retry. */
export function tries(count: number, name: StepName): SagaEvent[] {
  return Array.from({ length: count * 2 }, (_, index) => ({
    id: `event-${index}`,
    sequence: index + 1,
    type: index % 2 === 0 ? ('STEP_STARTED' as const) : ('STEP_RETRYING' as const),
    step: name,
    compensation: null,
    occurredAt: AT,
    message: '',
    attempt: Math.floor(index / 2) + 1,
  })) as unknown as SagaEvent[];
}
