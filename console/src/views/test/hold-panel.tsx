import { type FormEvent, useEffect, useId, useState } from 'react';
import { useMutation } from 'urql';
import { useIsLive } from '../../api/connection';
import type { Saga, SagaEvent } from '../../api/saga.graphql';
import { type Money, money } from '../../pieces/format';
import { Panel } from '../../pieces/panel';
import { Countdown } from '../../pieces/times';
import { BankDialog, bankPageAt } from './bank-dialog';
import { CardFields } from './card-fields';
import { CARD_DEFAULT } from './cards';
import { hasWaited, toldOf, waitEndsAt } from './hold';
import { refusalOfError } from './refusal';
import { CancelSaga, ConfirmCard, PayForHold } from './test.graphql';
import './hold.css';

/**
 * Held seats: how long they can be paid for, and how. It has its full size from the first.
 *
 * `total`: what would be paid, while the saga does not say it. `isPaidHere`: this page gave the card with the request;
 * then the bank's page opens by itself, as it does after a payment from here.
 */
export function HoldPanel({
  saga,
  events,
  isPaidHere,
  total,
}: {
  saga: Saga | null;
  events: readonly SagaEvent[];
  isPaidHere: boolean;
  total: Money | null;
}) {
  const waited = hasWaited(saga, events);
  const until = waitEndsAt(saga, events);
  const { title, text } = toldOf(saga, waited);
  return (
    <Panel title="Hold and payment" id="pay" className="hold-panel full">
      <div className="hold">
        <p className="time-left" data-s={until === null ? 'pending' : 'held'}>
          {until === null ? <span aria-hidden="true">--:--</span> : <Countdown until={until} about="Time to pay" />}
          <small>{saga?.awaiting?.__typename === 'CardConfirmationAwaited' ? 'left to answer' : 'left to pay'}</small>
        </p>
        <p className="told">
          <strong>{title}</strong>
          <span>{text}</span>
        </p>
        <Payment saga={saga} isPaidHere={isPaidHere} total={total} />
      </div>
    </Panel>
  );
}

function Payment({ saga, isPaidHere, total }: { saga: Saga | null; isPaidHere: boolean; total: Money | null }) {
  const [token, setToken] = useState(CARD_DEFAULT);
  /** The saga that this page has paid for. */
  const [paidFor, setPaidFor] = useState<string | null>(null);
  const hold = useHold(saga);
  const bank = useBank(hold.bankUrl, isPaidHere || paidFor === saga?.id);
  const why = useId();
  const canPay = hold.awaits === 'PaymentAwaited' && token !== '';
  const canAct = hold.awaits !== null && !hold.isBusy && hold.reason === null;
  const act = (event: FormEvent): void => {
    event.preventDefault();
    if (!canAct) return;
    if (bank.page !== null) bank.open();
    else if (canPay) {
      setPaidFor(saga?.id ?? null);
      void hold.pay(token);
    }
  };
  return (
    <form className="pay" aria-label="Pay for the held seats" onSubmit={act}>
      <CardFields label={hold.isAnother ? 'Another card' : 'Card'} token={token} onChange={setToken} />
      <div className="acts">
        <button
          type="submit"
          className="btn primary"
          aria-disabled={!canAct || (bank.page === null && !canPay)}
          aria-describedby={why}
        >
          {bank.page === null ? `Pay ${said(hold.amount ?? total)}` : 'Answer the bank'}
        </button>
        <button
          type="button"
          className="btn"
          aria-disabled={!canAct}
          aria-describedby={why}
          onClick={() => canAct && void hold.giveBack()}
        >
          Give the seats back
        </button>
      </div>
      <p className="hint" id={why} role="status" data-tone={hold.trouble === null ? undefined : 'error'}>
        {hold.trouble ?? hold.reason}
      </p>
      {bank.page !== null && bank.isOpen && (
        <BankDialog page={bank.page} onAnswered={() => void hold.confirm()} onClose={bank.close} />
      )}
    </form>
  );
}

function said(amount: Money | null): string {
  return amount === null ? 'for the seats' : money(amount);
}

/** What the saga asks of its customer, and how to answer. */
function useHold(saga: Saga | null) {
  const [{ fetching: isPaying }, payForHold] = useMutation(PayForHold);
  const [{ fetching: isCancelling }, cancelSaga] = useMutation(CancelSaga);
  const [, confirmCard] = useMutation(ConfirmCard);
  const [trouble, setTrouble] = useState<{ about: string; said: string } | null>(null);
  const isLive = useIsLive();
  const awaiting = saga?.awaiting ?? null;
  const correlationId = saga?.correlationId ?? '';
  const about = `${correlationId} ${saga?.sequence}`;
  const hear = (why: string | undefined): void => setTrouble(why === undefined ? null : { about, said: why });
  return {
    awaits: awaiting?.__typename ?? null,
    amount: awaiting?.__typename === 'PaymentAwaited' ? awaiting.amount : (saga?.payment?.amount ?? null),
    bankUrl: awaiting?.__typename === 'CardConfirmationAwaited' ? awaiting.url : null,
    isAnother: awaiting !== null && awaiting.lastFailure !== null,
    isBusy: isPaying || isCancelling,
    reason: isLive ? null : 'Not connected.',
    /** Why the last answer was not taken; gone once the saga has changed. */
    trouble: trouble?.about === about ? trouble.said : null,
    pay: async (token: string): Promise<void> => {
      const { data, error } = await payForHold({ input: { correlationId, payment: { token } } });
      // Said again with the same card, it is tried once at most.
      hear(error ? `${refusalOfError(error, Date.now()).title} Pay again.` : data?.payForHold?.errors[0]?.message);
    },
    giveBack: async (): Promise<void> => {
      const { data, error } = await cancelSaga({ correlationId });
      hear(error ? refusalOfError(error, Date.now()).title : data?.cancelSaga?.errors[0]?.message);
    },
    /** The server looks by itself, too: that it has looked already is no trouble. */
    confirm: async (): Promise<void> => {
      const { error } = await confirmCard({ correlationId });
      hear(error && refusalOfError(error, Date.now()).title);
    },
  };
}

/** The bank's page; opened once by itself if `opens`. */
function useBank(url: string | null, opens: boolean) {
  const [openUrl, setOpenUrl] = useState<string | null>(null);
  useEffect(() => {
    if (url !== null && opens) setOpenUrl(url);
  }, [url, opens]);
  return {
    page: url === null ? null : bankPageAt(url),
    isOpen: url !== null && openUrl === url,
    open: () => setOpenUrl(url),
    close: () => setOpenUrl(null),
  };
}
