import type { PaymentStatus } from '../../api/generated/graphql';
import type { Saga } from '../../api/saga.graphql';
import { money, plural } from '../../pieces/format';
import { Panel } from '../../pieces/panel';
import { TERMINAL } from '../../saga/states';
import { plainName } from '../../saga/words';
import { CancelButton } from './cancel-button';
import { isTurned } from './claims';

/** What came of the run so far: reference, seats, points, money, and the cause where it failed. */
export function Result({
  saga,
  delayMs,
  onFollow,
}: {
  saga: Saga | null;
  delayMs: number;
  onFollow: (correlationId: string) => void;
}) {
  return (
    <Panel title="Result" className="result" end={saga && !TERMINAL.has(saga.status) ? 'so far' : ''}>
      <div className="pad">
        <p className="big">{headOf(saga)}</p>
        <dl className="facts">
          <dt>Reference</dt>
          <dd>{saga?.booking ? <span className="mono reference">{saga.booking.reference}</span> : <None />}</dd>
          <dt>Seats</dt>
          <dd>{(saga && seatsSaid(saga)) || <None />}</dd>
          <dt>Points</dt>
          <dd>{(saga && pointsSaid(saga)) || <None />}</dd>
          <dt>Card</dt>
          <dd>{(saga && paymentSaid(saga)) || <None />}</dd>
          <dt>Cause</dt>
          <dd>
            {saga?.failure ? (
              <>
                {saga.failure.step ? plainName(saga.failure.step) : saga.failure.message}{' '}
                <span className="api">{saga.failure.code}</span>
              </>
            ) : (
              <None />
            )}
          </dd>
        </dl>
        <CancelButton saga={saga} delayMs={delayMs} onFollow={onFollow} />
      </div>
    </Panel>
  );
}

function None() {
  return <span className="quiet">none</span>;
}

function headOf(saga: Saga | null): string {
  if (saga === null) return 'No run yet';
  if (saga.booking === null) return TERMINAL.has(saga.status) ? 'No booking' : 'No booking yet';
  if (saga.booking.status === 'CANCELLED') return 'Booking cancelled';
  return saga.booking.status === 'CANCELLING' ? 'Booking being cancelled' : 'Booked';
}

const SEATS = { HELD: 'held', CONFIRMED: 'booked', RELEASED: 'released', EXPIRED: 'lapsed' } as const;

function seatsSaid(saga: Saga): string {
  const numbers = new Map<string, string[]>();
  for (const { status, seat } of saga.reservations) {
    const word = status === 'HELD' && isTurned(saga) ? 'being released' : SEATS[status];
    numbers.set(word, [...(numbers.get(word) ?? []), seat.number]);
  }
  return [...numbers].map(([word, some]) => `${some.join(', ')} ${word}`).join('; ');
}

function pointsSaid(saga: Saga): string {
  const { booking, steps } = saga;
  if (booking && booking.milesAwarded > 0) return `${plural(booking.milesAwarded, 'mile')} awarded`;
  if (booking && booking.pointsRedeemed > 0) return `${plural(booking.pointsRedeemed, 'point')} redeemed`;
  const step = steps.find(({ name }) => name === 'AWARD_MILES' || name === 'DEDUCT_LOYALTY_POINTS');
  if (step?.undo?.status === 'COMPLETED') return step.undo.summary ?? 'given back';
  return step?.status === 'COMPLETED' ? (step.summary ?? '') : '';
}

const CARD: Readonly<Record<PaymentStatus, string>> = {
  PENDING: 'nothing charged',
  AUTHORIZED: 'reserved, not charged',
  CAPTURED: 'charged',
  VOIDED: 'given up, nothing charged',
  REFUND_PENDING: 'being given back',
  REFUNDED: 'given back',
  DISPUTED: 'reclaimed by the card’s holder',
  DECLINED: 'refused, nothing charged',
  UNKNOWN: 'being found out',
};

/** What became of the money. */
export function paymentSaid({ payment, booking, status }: Saga): string {
  if (payment) return `${money(payment.amount)} ${CARD[payment.status]}`;
  if (booking) return 'Nothing to pay';
  return TERMINAL.has(status) ? 'Nothing charged' : '';
}
