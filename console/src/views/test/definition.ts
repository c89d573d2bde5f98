import type { SagaDefinition, StepDefinition } from '../../api/definitions.graphql';
import type { SagaDefinitionName, SimulationInput } from '../../api/generated/graphql';
import type { Saga, SagaStep } from '../../api/saga.graphql';

/** What a passenger does with points: which of the two sagas books. */
export type Pays = 'earn' | 'redeem';

const DEFINITION_OF: Readonly<Record<Pays, SagaDefinitionName>> = {
  earn: 'BOOK_AND_EARN',
  redeem: 'BOOK_AND_REDEEM',
};

/** The definition that a new booking starts with. Throws where the server has none. */
export function bookingOf(definitions: readonly SagaDefinition[], pays: Pays): SagaDefinition {
  const found = definitions.find(({ name, isCurrent }) => isCurrent && name === DEFINITION_OF[pays]);
  if (found === undefined) throw new Error(`The server starts no ${DEFINITION_OF[pays]}.`);
  return found;
}

/** Ticks by the position of a step, so that they stay where they are when the definition changes. */
export interface Faults {
  readonly fails: readonly boolean[];
  readonly loses: readonly boolean[];
  readonly undoFails: readonly boolean[];
}

export type FaultName = keyof Faults;

/** As many positions as the address has digits for. */
const NONE: readonly boolean[] = Array.from({ length: 9 }, () => false);
export const NO_FAULTS: Faults = { fails: NONE, loses: NONE, undoFails: NONE };

/** The faults that are ticked, as far as this definition can have them. */
export function simulationOf(faults: Faults, { steps }: SagaDefinition, delayMs: number): SimulationInput {
  return {
    failAt: steps.filter((_, index) => faults.fails[index]).map((step) => step.name),
    loseAnswerAt: steps.filter((step, index) => faults.loses[index] && step.isRemote).map((step) => step.name),
    failCompensationAt: steps.flatMap((step, index) => (faults.undoFails[index] ? (step.compensation ?? []) : [])),
    delayMs,
  };
}

/** What is worth knowing of the ticks; empty where they say enough themselves. */
export function hintOn(faults: Faults, definition: SagaDefinition): string {
  if (!isFaulty(faults, definition)) return 'Tick a step first to run a failure.';
  const isUndone = faults.fails.some(Boolean) || !faults.undoFails.some(Boolean);
  return isUndone ? '' : 'An undo fails only if a later step fails, too.';
}

/** Whether anything is to go wrong at all. */
export function isFaulty(faults: Faults, definition: SagaDefinition): boolean {
  const { failAt, loseAnswerAt, failCompensationAt } = simulationOf(faults, definition, 0);
  return [failAt, loseAnswerAt, failCompensationAt].some((names) => (names?.length ?? 0) > 0);
}

/** What would run, before anything has: so that the line and the queue stand there from the first. */
export function previewOf({ name, version, steps }: SagaDefinition): Saga {
  const names = steps.map((step) => step.name);
  return {
    __typename: 'Saga',
    id: `preview-${name}`,
    correlationId: '',
    definition: name,
    definitionVersion: version,
    status: 'PENDING',
    sequence: 0,
    startedAt: '',
    finishedAt: null,
    memberNumber: null,
    stuckSince: null,
    atStake: null,
    settlement: null,
    failure: null,
    awaiting: null,
    steps: steps.map(pendingStep),
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

function pendingStep({ name, compensation }: StepDefinition, index: number): SagaStep {
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
