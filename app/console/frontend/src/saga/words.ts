import type {
  CompensationName,
  SagaDefinitionName,
  SagaEventType,
  SagaStatus,
  StepName,
} from '../api/generated/graphql';

/** The plain name of everything the API names; the API's name stands beneath it, small. */

interface StepWords {
  readonly name: string;
  /** What is going on while it runs, as after "Booking:". */
  readonly doing: string;
  /** What it will do, where it has not been reached. */
  readonly intent: string;
}

export const STEPS: Readonly<Record<StepName, StepWords>> = {
  RESERVE_SEAT: { name: 'Reserve seat', doing: 'reserving seats', intent: 'Holds the seats for 15 minutes.' },
  AUTHORIZE_PAYMENT: {
    name: 'Authorize payment',
    doing: 'authorizing the card',
    intent: 'Reserves the money; takes none.',
  },
  AWARD_MILES: { name: 'Award miles', doing: 'awarding miles', intent: 'Credits the miles as pending.' },
  DEDUCT_LOYALTY_POINTS: {
    name: 'Deduct points',
    doing: 'taking points',
    intent: 'Takes the points from the account.',
  },
  PROCESS_PAYMENT: { name: 'Process payment', doing: 'charging the card', intent: 'Reserves what points do not pay.' },
  CONFIRM_BOOKING: {
    name: 'Confirm booking',
    doing: 'confirming',
    intent: 'Turns holds into a booking. No way back after this.',
  },
  CANCEL_BOOKING: {
    name: 'Cancel booking',
    doing: 'cancelling the booking',
    intent: 'Decides. Goes forward only from here.',
  },
  REFUND_PAYMENT: { name: 'Refund payment', doing: 'giving the money back', intent: 'Gives the money back.' },
  RESTORE_LOYALTY: { name: 'Restore points', doing: 'restoring points', intent: 'Takes miles back, returns points.' },
  CANCEL_SEAT: { name: 'Free seats', doing: 'freeing the seats', intent: 'Frees the seats.' },
};

export const COMPENSATIONS: Readonly<Record<CompensationName, string>> = {
  CANCEL_SEAT: 'Cancel seat',
  CANCEL_PAYMENT: 'Cancel payment',
  REVERSE_MILES: 'Reverse miles',
  CANCEL_BOOKING: 'Cancel booking',
  REFUND_LOYALTY_POINTS: 'Refund points',
  REFUND_PAYMENT: 'Refund payment',
};

/** What it means that one of these keeps failing. */
export const STUCK: Readonly<Partial<Record<StepName | CompensationName, string>>> = {
  CANCEL_SEAT: 'Seats could not be freed.',
  CANCEL_PAYMENT: 'The payment could not be cancelled.',
  REVERSE_MILES: 'Miles could not be taken back.',
  CANCEL_BOOKING: 'The booking could not be cancelled.',
  REFUND_LOYALTY_POINTS: 'Points could not be refunded.',
  REFUND_PAYMENT: 'The payment could not be refunded.',
  RESTORE_LOYALTY: 'Points and miles could not be restored.',
  CONFIRM_BOOKING: 'The booking could not be confirmed.',
};

/** Why a saga did not go on forward, by the failure's code; for others the step is named. */
export const CAUSES: Readonly<Record<string, string>> = {
  CANCELLED: 'Cancelled.',
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
  COMPENSATING: 'Undoing',
  COMPLETED: 'Completed',
  COMPENSATED: 'Undone',
  STUCK: 'Stuck',
  PARKED: 'Parked',
  ABANDONED: 'Abandoned',
};

export const EVENTS: Readonly<Record<SagaEventType, string>> = {
  SAGA_STARTED: 'Saga started',
  STEP_STARTED: 'Step started',
  STEP_COMPLETED: 'Step completed',
  STEP_FAILED: 'Step failed',
  STEP_RETRYING: 'Step retrying',
  STEP_SKIPPED: 'Step skipped',
  HOLD_EXPIRED: 'Hold lapsed',
  CANCEL_REQUESTED: 'Cancel asked',
  COMPENSATION_STARTED: 'Undo started',
  COMPENSATION_COMPLETED: 'Undo completed',
  COMPENSATION_RETRYING: 'Undo retrying',
  COMPENSATION_SKIPPED: 'Undo given up',
  SAGA_COMPLETED: 'Saga completed',
  SAGA_COMPENSATED: 'Saga undone',
  SAGA_STUCK: 'Saga stuck',
  SAGA_PARKED: 'Saga parked',
  SAGA_RESUMED: 'Saga resumed',
  SAGA_ABANDONED: 'Saga abandoned',
};
