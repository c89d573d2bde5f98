import type { Saga, SagaEvent } from '../../api/saga.graphql';
import { sentence } from '../../pieces/format';
import { cause, sentenceOf } from '../../saga/sentence';
import { paymentSaid } from './result';

/** What a customer is told of the hold: a line that leads, and what it means. */
export interface Told {
  readonly title: string;
  readonly text: string;
}

/** When the newest wait of the saga ends, also while its answer is tried; null if it waits no more, or not yet. */
export function waitEndsAt(saga: Saga | null, events: readonly SagaEvent[]): string | null {
  if (saga === null || (saga.status !== 'WAITING' && saga.status !== 'RUNNING')) return null;
  // Everyone who may see the saga sees its events; `awaiting` is the customer's.
  const facts = events.findLast(({ type }) => type === 'STEP_WAITING')?.facts;
  return facts?.__typename === 'WaitFacts' ? facts.until : null;
}

/** Whether the saga waits for its customer, or did. */
export function hasWaited(saga: Saga | null, events: readonly SagaEvent[]): boolean {
  return saga?.status === 'WAITING' || events.some(({ type }) => type === 'STEP_WAITING');
}

/** The hold from the customer's side. Null for the saga: nothing has run. */
export function toldOf(saga: Saga | null, waited: boolean): Told {
  if (saga === null) return { title: 'No seats are held yet.', text: 'Once they are, the time to pay runs here.' };
  switch (saga.status) {
    case 'PENDING':
    case 'RUNNING':
      return running(saga, waited);
    case 'WAITING':
      return waiting(saga);
    case 'COMPENSATING':
      return { title: ended(saga), text: 'The seats are being released.' };
    case 'COMPENSATED':
      return { title: ended(saga), text: `The seats are free again. ${charged(saga)}` };
    case 'COMPLETED':
      return { title: sentenceOf(saga), text: charged(saga) };
    default:
      return { title: sentenceOf(saga), text: '' };
  }
}

function running(saga: Saga, waited: boolean): Told {
  const isPaid = saga.steps.some((step) => PAYING.has(step.name) && step.status === 'COMPLETED');
  if (isPaid) return { title: 'The card is accepted.', text: 'The booking is being confirmed.' };
  if (waited) return { title: 'The card is being tried.', text: 'The seats stay held meanwhile.' };
  return { title: 'The seats are being held.', text: '' };
}

function waiting({ awaiting }: Saga): Told {
  switch (awaiting?.__typename) {
    case 'PaymentAwaited':
      if (awaiting.lastFailure === null) return { title: 'The seats are held.', text: 'Pay before the time is up.' };
      return {
        title: awaiting.lastFailure.message,
        text: 'Nothing was charged. The seats are still held: pay with another card.',
      };
    case 'CardConfirmationAwaited':
      return { title: 'The bank asks the card’s holder.', text: asking(awaiting) };
    default:
      return { title: 'The seats are held.', text: 'Only the customer who holds them can pay.' };
  }
}

function asking({ url, clientSecret }: { url: string | null; clientSecret: string | null }): string {
  if (url !== null) return 'Answer it before the time is up.';
  if (clientSecret === null) return 'Only the customer who pays can answer.';
  return 'It is asked by the provider’s own library, which this page does not load.';
}

/** Why there is no booking: in words for a customer, else the message of the failure. */
function ended(saga: Saga): string {
  const { failure } = saga;
  return (failure && (ENDS[failure.code] ?? failure.message)) || cause(saga);
}

const ENDS: Readonly<Record<string, string>> = {
  CANCELLED: 'The seats were given back.',
  HOLD_EXPIRED: 'The time is up: the hold lapsed.',
};
const PAYING: ReadonlySet<string> = new Set(['AUTHORIZE_PAYMENT', 'PROCESS_PAYMENT']);

function charged(saga: Saga): string {
  return `${sentence(paymentSaid(saga))}.`;
}
