import type { CompensationName, StepName } from '../api/generated/graphql';
import type { SagaOnLine } from '../api/saga.graphql';
import { givenUpIn } from './given-up';
import { CAUSES, plainName, statusWord } from './words';

/** The state of a saga in a sentence. */
export function sentenceOf(saga: SagaOnLine): string {
  switch (saga.status) {
    case 'PENDING':
      return 'Accepted, waiting for its turn.';
    case 'RUNNING':
      return running(saga);
    case 'WAITING':
      return waiting(saga);
    case 'COMPENSATING': {
      const [done, all] = undone(saga);
      const refund = saga.steps.some((step) => step.undo?.status === 'WAITING') ? ' The refund is pending.' : '';
      return `${cause(saga)} Undoing: ${done} of ${all} done.${refund}`;
    }
    case 'COMPENSATED':
      return `${cause(saga)} ${undone(saga)[1] === 0 ? 'Nothing had to be undone.' : 'Everything was undone.'}`;
    case 'COMPLETED':
      return completed(saga);
    case 'STUCK': {
      const name = stuckAt(saga);
      return name === null ? 'A step that must succeed keeps failing.' : `${plainName(name)} keeps failing.`;
    }
    case 'PARKED':
      return 'This release cannot read or run the saga. It waits for an operator; all others continue.';
    case 'ABANDONED':
      return abandoned(saga);
    default:
      return `${statusWord(saga.status)}.`;
  }
}

/** Why the saga did not continue forward: "Process payment failed.", "Cancelled.", "The hold lapsed." */
export function cause({ failure }: SagaOnLine): string {
  if (failure === null) return 'The saga ended early.';
  return CAUSES[failure.code] ?? (failure.step === null ? 'Failed.' : `${plainName(failure.step)} failed.`);
}

/** The stuck step or compensation; null if nothing is stuck. */
export function stuckAt(saga: SagaOnLine): StepName | CompensationName | null {
  for (const step of saga.steps) {
    if (step.undo?.status === 'STUCK') return step.undo.name;
    if (step.status === 'STUCK') return step.name;
  }
  return null;
}

function running(saga: SagaOnLine): string {
  if (saga.steps.some((step) => step.status === 'WAITING')) return 'Cancelled. The refund is pending.';
  const active = saga.steps.find((step) => step.status === 'EXECUTING' || step.status === 'RETRYING');
  const waiting = saga.steps.find((step) => step.status === 'PENDING');
  const subject = saga.definition === 'CANCEL_BOOKING' ? 'Cancelling' : 'Booking';
  if (active?.status === 'RETRYING') return `${plainName(active.name)} did not succeed yet. It is tried again.`;
  const step = active ?? waiting;
  return step ? `${subject}: ${plainName(step.name).toLowerCase()}.` : `${subject}.`;
}

/** What a waiting saga needs, and what the customer keeps meanwhile. */
function waiting({ awaiting }: SagaOnLine): string {
  if (awaiting?.__typename === 'CardConfirmationAwaited') return 'Seats held. The bank asks the card’s holder.';
  if (awaiting?.__typename !== 'PaymentAwaited') return 'Seats held. Waiting for the customer.';
  if (awaiting.lastFailure === null) return 'Seats held. Waiting for a card.';
  return `${CAUSES[awaiting.lastFailure.code] ?? CAUSES.PAYMENT_DECLINED} Seats still held, waiting for another card.`;
}

function completed(saga: SagaOnLine): string {
  const reference = saga.booking?.reference;
  if (saga.definition === 'CANCEL_BOOKING') return reference ? `Booking ${reference} is cancelled.` : 'Cancelled.';
  return reference ? `Booked: ${reference}.` : 'Booked.';
}

/** The number of compensations that are done, and of all. */
function undone(saga: SagaOnLine): [number, number] {
  const undos = saga.steps.flatMap((step) => step.undo ?? []);
  return [undos.filter((undo) => undo.status === 'COMPLETED').length, undos.length];
}

function abandoned(saga: SagaOnLine): string {
  const names = givenUpIn(saga).map(({ name }) => name);
  const said = `${names.join(', ') || 'A step'} was given up by an operator.`;
  return saga.failure === null ? said : `${cause(saga)} ${said}`;
}
