import { useId, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import { useIsLive } from '../../api/connection';
import type { Saga } from '../../api/saga.graphql';
import { useMay, useViewer } from '../../api/viewer';
import { useAct } from '../../operator/act';
import { SagaBookingCancel, SagaCancel } from '../../operator/operator.graphql';
import { RetryButton } from '../../operator/retry-button';
import { type Said, SaidBack } from '../../operator/said-back';
import { SkipForm } from '../../operator/skip-form';
import type { Stuck } from '../../operator/stuck';
import { OperatorToken } from '../../shell/operator-token';

type Open = 'skip' | 'cancel' | 'token' | null;

interface Props {
  readonly saga: Saga;
  readonly stuck: Stuck | null;
  readonly onSaid: (said: Said) => void;
}

/** Retry and skip where something waits, cancel while there is something to cancel; each where it makes sense only. */
export function Actions({ saga, stuck, onSaid }: Props) {
  const [open, setOpen] = useState<Open>(null);
  const mayMend = useMay('sagas:mend');
  const role = useViewer()?.role;
  const form = useId();
  const opener = useRef<HTMLButtonElement | null>(null);
  const cancel = role === 'OPERATOR' && !mayMend ? null : cancellable(saga);
  const close = (): void => {
    setOpen(null);
    opener.current?.focus();
  };
  const opens = (which: Exclude<Open, null>) => ({
    type: 'button' as const,
    'aria-expanded': open === which,
    'aria-controls': open === which ? form : undefined,
    onClick: ({ currentTarget }: React.MouseEvent<HTMLButtonElement>) => {
      opener.current = currentTarget;
      setOpen(open === which ? null : which);
    },
  });
  return (
    <>
      <div className="words">
        {mayMend && (stuck || isWaiting(saga) || saga.status === 'PARKED') && (
          <RetryButton saga={saga} onSaid={onSaid} />
        )}
        {mayMend && stuck && (
          <button className="btn" {...opens('skip')}>
            Skip with reason
          </button>
        )}
        {cancel && (
          <button className="btn" {...opens('cancel')}>
            {cancel === 'saga' ? 'Cancel saga' : 'Cancel booking'}
          </button>
        )}
      </div>
      {role === 'ANONYMOUS' && stuck && (
        <p className="in-place">
          Retrying and skipping are for operators.{' '}
          <button className="as-link" {...opens('token')}>
            Give an operator’s token
          </button>
        </p>
      )}
      {open === 'token' && role === 'ANONYMOUS' && (
        <div className="in-place" id={form}>
          <OperatorToken scope="sagas:mend">
            The server prints its token at start, and says where it is kept.
          </OperatorToken>
        </div>
      )}
      {open === 'skip' && stuck && (
        <div className="in-place">
          <SkipForm saga={saga} stuck={stuck} id={form} onClose={close} onSaid={onSaid} />
        </div>
      )}
      {open === 'cancel' && cancel && (
        <div className="in-place" id={form} onKeyDown={(event) => event.key === 'Escape' && close()}>
          {cancel === 'saga' ? (
            <CancelSaga saga={saga} onClose={close} onSaid={onSaid} />
          ) : (
            <CancelBooking reference={cancel.reference} onClose={close} />
          )}
        </div>
      )}
    </>
  );
}

/** The saga while it goes forward; once it is completed, the booking that it made. */
function cancellable({ status, definition, booking }: Saga): 'saga' | { reference: string } | null {
  if (status === 'PENDING' || status === 'RUNNING' || status === 'WAITING') return 'saga';
  if (status !== 'COMPLETED' || definition === 'CANCEL_BOOKING') return null;
  return booking?.status === 'CONFIRMED' && booking.cancellation === null ? { reference: booking.reference } : null;
}

function isWaiting(saga: Saga): boolean {
  return saga.steps.some((step) => (step.undo ?? step).status === 'RETRYING');
}

function CancelSaga({ saga, onClose, onSaid }: { saga: Saga; onClose: () => void; onSaid: (said: Said) => void }) {
  const { isBusy, run } = useAct(SagaCancel);
  return (
    <Sure
      text="It stops before its next step, and what it did is undone: seats are freed, money and points given back."
      word="Cancel saga"
      keep="Let it go on"
      isBusy={isBusy}
      onClose={onClose}
      act={async () => {
        const { trouble } = await run({ correlationId: saga.correlationId });
        return trouble;
      }}
      onDone={() => onSaid({ tone: 'ok', text: 'Asked to stop and undo what it did.' })}
    />
  );
}

function CancelBooking({ reference, onClose }: { reference: string; onClose: () => void }) {
  const { isBusy, run } = useAct(SagaBookingCancel);
  const [, go] = useLocation();
  return (
    <Sure
      text={`Booking ${reference} is refunded, its points are restored and its seats freed, by a saga of its own.`}
      word={`Cancel booking ${reference}`}
      keep="Keep it"
      isBusy={isBusy}
      onClose={onClose}
      act={async () => {
        const { saga, trouble } = await run({ reference });
        if (saga) go(`/saga/${saga.correlationId}`);
        return trouble;
      }}
      onDone={() => {}}
    />
  );
}

/** Explains an action before it is sent; closes once the server has accepted it. */
function Sure({
  text,
  word,
  keep,
  isBusy,
  onClose,
  act,
  onDone,
}: {
  text: string;
  word: string;
  keep: string;
  isBusy: boolean;
  onClose: () => void;
  /** Why it was refused; undefined if it was accepted. */
  act: () => Promise<string | undefined>;
  onDone: () => void;
}) {
  const [trouble, setTrouble] = useState<string | undefined>();
  const isLive = useIsLive();
  const give = async (): Promise<void> => {
    const why = await act();
    setTrouble(why);
    if (why !== undefined) return;
    onClose();
    onDone();
  };
  return (
    <div className="skip-form">
      <p>{text}</p>
      <SaidBack said={trouble === undefined ? null : { tone: 'error', text: trouble }} />
      <div className="two">
        <button type="button" className="btn danger" autoFocus disabled={isBusy || !isLive} onClick={() => void give()}>
          {word}
        </button>
        <button type="button" className="btn plain" onClick={onClose}>
          {keep}
        </button>
      </div>
    </div>
  );
}
