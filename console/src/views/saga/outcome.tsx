import { Link } from 'wouter';
import type { BookingStatus, PaymentStatus } from '../../api/generated/graphql';
import type { Saga } from '../../api/saga.graphql';
import { ShortId } from '../../pieces/correlation-id';
import { count, money } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { Badge } from '../../saga/badge';
import { givenUpIn } from '../../saga/given-up';
import { type StateName, TERMINAL } from '../../saga/states';

const PAYMENTS: Readonly<Record<PaymentStatus, { state: StateName; word: string }>> = {
  PENDING: { state: 'pending', word: 'Opened' },
  AUTHORIZED: { state: 'held', word: 'Authorized' },
  CAPTURED: { state: 'completed', word: 'Taken' },
  VOIDED: { state: 'compensated', word: 'Voided' },
  REFUND_PENDING: { state: 'compensating', word: 'Refund under way' },
  REFUNDED: { state: 'compensated', word: 'Refunded' },
  DISPUTED: { state: 'failed', word: 'Disputed' },
  DECLINED: { state: 'failed', word: 'Refused' },
  UNKNOWN: { state: 'retrying', word: 'Not known yet' },
};
const MEANINGS: Readonly<Record<PaymentStatus, string>> = {
  PENDING: 'No money touched yet.',
  AUTHORIZED: 'Reserved, not taken.',
  CAPTURED: 'Taken.',
  VOIDED: 'Given up; nothing was taken.',
  REFUND_PENDING: 'The provider is giving it back; that may still fail.',
  REFUNDED: 'Given back.',
  DISPUTED: 'The card’s holder reclaimed it through their bank.',
  DECLINED: 'The provider refused; nothing was taken.',
  UNKNOWN: 'The provider’s last answer was lost; it is being found out.',
};
const BOOKINGS: Readonly<Record<BookingStatus, { state: StateName; word: string }>> = {
  CONFIRMED: { state: 'completed', word: 'Confirmed' },
  CANCELLING: { state: 'compensating', word: 'Cancelling' },
  CANCELLED: { state: 'compensated', word: 'Cancelled' },
};

/** A tick would say that all is well. */
const NOT_BACK = { state: 'failed', word: 'Not given back' } as const;

export function PaymentPanel({ saga }: { saga: Saga }) {
  const { payment } = saga;
  if (payment === null) {
    const isOver = TERMINAL.has(saga.status);
    return (
      <Panel title="Payment">
        <Empty title="No payment">
          {isOver ? 'There was nothing to pay, or it was not reached.' : 'None has been opened yet.'}
        </Empty>
      </Panel>
    );
  }
  const isLost = saga.settlement === null && saga.atStake?.money != null && givenUpIn(saga).length > 0;
  return (
    <Panel title="Payment" end={<Badge {...(isLost ? NOT_BACK : PAYMENTS[payment.status])} />}>
      <dl className="pad facts">
        <dt>Amount</dt>
        <dd>
          {money(payment.amount)}. {MEANINGS[payment.status]}
          {isLost && ' An operator gave up giving it back.'}
        </dd>
        <dt>Provider</dt>
        <dd className="mono long">{payment.providerReference ?? 'not known yet'}</dd>
      </dl>
    </Panel>
  );
}

export function BookingPanel({ saga }: { saga: Saga }) {
  const { booking } = saga;
  if (booking === null) {
    const hasFailed = TERMINAL.has(saga.status) || saga.failure !== null;
    return (
      <Panel title="Booking">
        <Empty title="No booking">
          {hasFailed
            ? 'This saga failed before it was confirmed, so no reference was issued.'
            : 'A reference is issued once the saga is confirmed.'}
        </Empty>
      </Panel>
    );
  }
  return (
    <Panel title="Booking" end={<Badge {...BOOKINGS[booking.status]} />}>
      <dl className="pad facts">
        <dt>Reference</dt>
        <dd className="mono reference">{booking.reference}</dd>
        <dt>Total</dt>
        <dd>{money(booking.total)}, before points</dd>
        {booking.milesAwarded > 0 && <dt>Miles</dt>}
        {booking.milesAwarded > 0 && <dd>{count(booking.milesAwarded)} awarded</dd>}
        {booking.pointsRedeemed > 0 && <dt>Points</dt>}
        {booking.pointsRedeemed > 0 && <dd>{count(booking.pointsRedeemed)} redeemed</dd>}
        <dt>Confirmed</dt>
        <dd>
          <Time at={booking.createdAt} />
        </dd>
        {booking.saga.correlationId !== saga.correlationId && <Other name="Made by" id={booking.saga.correlationId} />}
        {booking.cancellation && booking.cancellation.correlationId !== saga.correlationId && (
          <Other name="Cancelled by" id={booking.cancellation.correlationId} />
        )}
      </dl>
    </Panel>
  );
}

function Other({ name, id }: { name: string; id: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <Link href={`/saga/${id}`}>
          saga <ShortId id={id} />
        </Link>
      </dd>
    </>
  );
}
