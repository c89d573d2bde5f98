import type { SagaDefinitionName, SagaEventType, SagaStatus } from '../api/generated/graphql';

/** "Reserve seat" for RESERVE_SEAT. Every API name has a plain name, also one that only a newer release knows. */
export function plainName(name: string): string {
  const words = name.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Why a saga did not continue forward, by the failure's code; for other codes the step is named. */
export const CAUSES: Readonly<Record<string, string>> = {
  CANCELLED: 'Cancelled.',
  CARD_NOT_CONFIRMED: 'The card’s holder refused.',
  FLIGHT_CLOSED: 'The flight has closed.',
  HOLD_EXPIRED: 'The hold lapsed.',
  INSUFFICIENT_POINTS: 'Not enough points.',
  PAYMENT_DECLINED: 'Payment refused.',
  SEAT_UNAVAILABLE: 'Not enough seats.',
};

export const DEFINITIONS: Readonly<Record<SagaDefinitionName, string>> = {
  BOOK_AND_EARN: 'Earn',
  BOOK_AND_REDEEM: 'Redeem',
  CANCEL_BOOKING: 'Cancel',
};

export const STATUSES: Readonly<Record<SagaStatus, string>> = {
  PENDING: 'Pending',
  RUNNING: 'Running',
  WAITING: 'Waiting',
  COMPENSATING: 'Undoing',
  COMPLETED: 'Completed',
  COMPENSATED: 'Undone',
  STUCK: 'Stuck',
  PARKED: 'Parked',
  ABANDONED: 'Abandoned',
};

const EVENTS: Readonly<Record<SagaEventType, string>> = {
  SAGA_STARTED: 'Saga started',
  STEP_STARTED: 'Step started',
  STEP_COMPLETED: 'Step completed',
  STEP_FAILED: 'Step failed',
  STEP_RETRYING: 'Step retrying',
  STEP_SKIPPED: 'Step skipped',
  STEP_WAITING: 'Step waiting',
  STEP_RESUMED: 'Step resumed',
  HOLD_EXPIRED: 'Hold lapsed',
  CANCEL_REQUESTED: 'Cancel asked',
  COMPENSATION_STARTED: 'Undo started',
  COMPENSATION_COMPLETED: 'Undo completed',
  COMPENSATION_RETRYING: 'Undo retrying',
  COMPENSATION_SKIPPED: 'Undo given up',
  COMPENSATION_WAITING: 'Undo waiting',
  SAGA_COMPLETED: 'Saga completed',
  SAGA_COMPENSATED: 'Saga undone',
  SAGA_STUCK: 'Saga stuck',
  SAGA_PARKED: 'Saga parked',
  SAGA_RESUMED: 'Saga resumed',
  SAGA_ABANDONED: 'Saga abandoned',
};

export const definitionWord = wordsFrom(DEFINITIONS);
export const statusWord = wordsFrom(STATUSES);
export const eventWord = wordsFrom(EVENTS);

/** The console's word for a name; its plain name if the console has none. */
function wordsFrom<Name extends string>(words: Readonly<Record<Name, string>>): (name: Name) => string {
  return (name) => (Object.hasOwn(words, name) ? words[name] : plainName(name));
}
