import type { OperatorActionKind } from '../../api/generated/graphql';

/** What the record can be narrowed to. */
export const KINDS: readonly OperatorActionKind[] = [
  'RETRY_SAGA',
  'SKIP_STEP',
  'CANCEL_SAGA',
  'BULK_START',
  'BULK_STOP',
  'JOB_RUN',
  'JOB_PAUSE',
  'JOB_RESUME',
  'JOB_INTERVAL',
  'PROVIDER_PAUSE',
  'PROVIDER_RESUME',
  'SETTLE',
  'BOOK_FLIGHT',
  'PAY_FOR_HOLD',
  'CONFIRM_CARD',
  'CANCEL_BOOKING',
  'MEND_PAYMENT',
  'IMPORT_FLIGHTS',
  'SEED',
  'RESTORE',
  'COPY_DATABASE',
];
