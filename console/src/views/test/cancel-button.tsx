import { useState } from 'react';
import { useMutation } from 'urql';
import { useIsLive } from '../../api/connection';
import type { Saga } from '../../api/saga.graphql';
import { refusalOfError } from './refusal';
import { CancelBooking, CancelSaga } from './test.graphql';

/** Cancels the saga while it goes forward, and the booking once there is one; its place is kept when there is neither. */
export function CancelButton({
  saga,
  delayMs,
  onFollow,
}: {
  saga: Saga | null;
  delayMs: number;
  onFollow: (correlationId: string) => void;
}) {
  const [{ fetching: isStopping }, cancelSaga] = useMutation(CancelSaga);
  const [{ fetching: isCancelling }, cancelBooking] = useMutation(CancelBooking);
  const [trouble, setTrouble] = useState<{ about: string; said: string } | null>(null);
  const isLive = useIsLive();
  const what = saga && whatToCancel(saga);
  const isBusy = isStopping || isCancelling || !isLive;

  const cancel = async (): Promise<void> => {
    if (saga === null || what === null || isBusy) return;
    setTrouble(null);
    const said = (message: string | undefined) =>
      message !== undefined && setTrouble({ about: saga.id, said: message });
    if (what === 'saga') {
      const { data, error } = await cancelSaga({ correlationId: saga.correlationId });
      said(error ? refusalOfError(error, Date.now()).title : data?.cancelSaga?.errors[0]?.message);
    } else if (saga.booking) {
      const simulate = delayMs > 0 ? { delayMs } : null;
      const { data, error } = await cancelBooking({ input: { reference: saga.booking.reference, simulate } });
      said(error ? refusalOfError(error, Date.now()).title : data?.cancelBooking?.errors[0]?.message);
      const follow = data?.cancelBooking?.saga?.correlationId;
      if (follow !== undefined) onFollow(follow);
    }
  };

  return (
    <div className="cancel">
      {what !== null && (
        <button type="button" className="btn small" aria-disabled={isBusy} onClick={() => void cancel()}>
          {what === 'saga' ? 'Cancel saga' : 'Cancel booking'}
        </button>
      )}
      <span role="alert">{trouble?.about === saga?.id && trouble?.said}</span>
    </div>
  );
}

function whatToCancel(saga: Saga): 'saga' | 'booking' | null {
  if (saga.definition === 'CANCEL_BOOKING') return null;
  if (saga.status === 'PENDING' || saga.status === 'RUNNING') return saga.failure === null ? 'saga' : null;
  return saga.status === 'COMPLETED' && saga.booking?.status === 'CONFIRMED' ? 'booking' : null;
}
