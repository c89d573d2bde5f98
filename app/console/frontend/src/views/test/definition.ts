import type { CompensationName, SagaDefinitionName, SimulationInput, StepName } from '../../api/generated/graphql';
import type { Saga, SagaStep } from '../../api/saga.graphql';

/** What a passenger does with points: which of the two sagas books. */
export type Pays = 'earn' | 'redeem';

export interface BookingStep {
  readonly name: StepName;
  readonly compensation: CompensationName;
  /** Whether it asks somebody, and so has an answer that can be lost. */
  readonly isLosable: boolean;
}

const RESERVE: BookingStep = { name: 'RESERVE_SEAT', compensation: 'CANCEL_SEAT', isLosable: false };
const CONFIRM: BookingStep = { name: 'CONFIRM_BOOKING', compensation: 'CANCEL_BOOKING', isLosable: true };

export const BOOKING_STEPS: Readonly<Record<Pays, readonly BookingStep[]>> = {
  earn: [
    RESERVE,
    { name: 'AUTHORIZE_PAYMENT', compensation: 'CANCEL_PAYMENT', isLosable: true },
    { name: 'AWARD_MILES', compensation: 'REVERSE_MILES', isLosable: false },
    CONFIRM,
  ],
  redeem: [
    RESERVE,
    { name: 'DEDUCT_LOYALTY_POINTS', compensation: 'REFUND_LOYALTY_POINTS', isLosable: false },
    { name: 'PROCESS_PAYMENT', compensation: 'REFUND_PAYMENT', isLosable: true },
    CONFIRM,
  ],
};

export const DEFINITION_OF: Readonly<Record<Pays, SagaDefinitionName>> = {
  earn: 'BOOK_AND_EARN',
  redeem: 'BOOK_AND_REDEEM',
};

/** Ticks by the position of a step, so that they stay where they are when the definition changes. */
export interface Faults {
  readonly fails: readonly boolean[];
  readonly loses: readonly boolean[];
  readonly undoFails: readonly boolean[];
}

export type FaultName = keyof Faults;

const NONE: readonly boolean[] = [false, false, false, false];
export const NO_FAULTS: Faults = { fails: NONE, loses: NONE, undoFails: NONE };

/** The faults that are ticked, as far as this definition can have them. */
export function simulationOf(faults: Faults, pays: Pays, delayMs: number): SimulationInput {
  const steps = BOOKING_STEPS[pays];
  return {
    failAt: steps.filter((_, index) => faults.fails[index]).map((step) => step.name),
    loseAnswerAt: steps.filter((step, index) => faults.loses[index] && step.isLosable).map((step) => step.name),
    failCompensationAt: steps.filter((_, index) => faults.undoFails[index]).map((step) => step.compensation),
    delayMs,
  };
}

/** What is worth knowing of the ticks; empty where they say enough themselves. */
export function hintOn(faults: Faults, pays: Pays): string {
  if (!isFaulty(faults, pays)) return 'Tick a step first to run a failure.';
  const isUndone = faults.fails.some(Boolean) || !faults.undoFails.some(Boolean);
  return isUndone ? '' : 'An undo fails only if a later step fails, too.';
}

/** Whether anything is to go wrong at all. */
export function isFaulty(faults: Faults, pays: Pays): boolean {
  const { failAt, loseAnswerAt, failCompensationAt } = simulationOf(faults, pays, 0);
  return [failAt, loseAnswerAt, failCompensationAt].some((names) => (names?.length ?? 0) > 0);
}

/** What would run, before anything has: so that the line and the queue stand there from the first. */
export function previewOf(pays: Pays): Saga {
  const names = BOOKING_STEPS[pays].map((step) => step.name);
  return {
    __typename: 'Saga',
    id: `preview-${pays}`,
    correlationId: '',
    definition: DEFINITION_OF[pays],
    definitionVersion: 1,
    status: 'PENDING',
    sequence: 0,
    startedAt: '',
    finishedAt: null,
    failure: null,
    steps: BOOKING_STEPS[pays].map(pendingStep),
    queue: {
      pending: names,
      executing: null,
      completed: [],
      failed: [],
      compensations: [],
      compensating: null,
      compensated: [],
    },
    flights: [],
    passengers: [],
    reservations: [],
    payment: null,
    booking: null,
  } as Saga;
}

function pendingStep({ name, compensation }: BookingStep, index: number): SagaStep {
  return {
    id: name,
    index,
    name,
    compensation,
    status: 'PENDING',
    attempt: 0,
    nextAttemptAt: null,
    startedAt: null,
    finishedAt: null,
    summary: null,
    failure: null,
    undo: null,
  };
}
