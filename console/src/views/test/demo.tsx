import { useState } from 'react';
import { useSteps } from '../../api/definitions';
import type { SagaDefinition } from '../../api/definitions.graphql';
import type { Saga } from '../../api/saga.graphql';
import { money } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { plainName } from '../../saga/words';
import { type Faults, NO_FAULTS } from './definition';

/** Of the step that fails at first: the last but one, so that there is something to undo and something not reached. */
const FAILS_FROM_END = 2;

/**
 * What a saga is, and one button that shows it: a booking whose chosen step fails, and what is undone then.
 *
 * `reason`: why nothing can be run now. `linkFor`: the run as GraphiQL's address.
 */
export function Demo({
  definition,
  saga,
  reason,
  linkFor,
  onRun,
}: {
  definition: SagaDefinition;
  saga: Saga | null;
  reason: string | null;
  linkFor: (faults: Faults) => string;
  onRun: (faults: Faults) => void;
}) {
  const { steps } = definition;
  const [chosen, setChosen] = useState<number | null>(null);
  const at = Math.min(chosen ?? steps.length - FAILS_FROM_END, steps.length - 1);
  const faults = { ...NO_FAULTS, fails: NO_FAULTS.fails.map((_, index) => index === at) };
  const canRun = reason === null;
  return (
    <section className="panel demo" id="demo" aria-label="What a saga is">
      <p className="what">
        <strong>A saga books step by step.</strong> If a step fails, the steps before it are undone, the last one first.
      </p>
      <div className="acts">
        <button
          type="button"
          className="btn primary"
          aria-disabled={!canRun}
          title={reason ?? undefined}
          onClick={() => canRun && onRun(faults)}
        >
          <Icon name="play" />
          Show me
        </button>
        <label>
          <span>a failure at</span>
          <select className="input" value={at} onChange={({ target }) => setChosen(Number(target.value))}>
            {steps.map((step, index) => (
              <option key={step.name} value={index}>
                {plainName(step.name)}
              </option>
            ))}
          </select>
        </label>
        <a className="btn plain" href={linkFor(faults)} target="_blank" rel="noopener opener">
          As GraphQL
        </a>
      </div>
      <Came saga={saga} />
    </section>
  );
}

/** What has been done so far, or undone, in one sentence. */
function Came({ saga }: { saga: Saga | null }) {
  const intents = new Map<string, string>(useSteps().map((step) => [step.name, step.description]));
  if (saga === null) return <p className="came quiet">It books a seat, fails where you choose, and cleans up.</p>;
  const undone = saga.steps.toReversed().flatMap(({ undo }) => (undo?.status === 'COMPLETED' ? undo : []));
  if (undone.length > 0) {
    const isOver = saga.status === 'COMPENSATED';
    return (
      <p className="came">
        <b>{isOver ? 'Undone' : 'Undone so far'}:</b> {listOf(undone.map((undo) => undoneBy(saga, undo)))}
        {isOver && ' Nothing is left of this booking.'}
      </p>
    );
  }
  const done = saga.steps.filter(({ status }) => status === 'COMPLETED');
  const executing = saga.steps.find(({ status }) => status === 'EXECUTING');
  return (
    <p className="came">
      <b>Done:</b> {listOf(done.map((step) => doneBy(saga, step)))}
      {executing && <span className="quiet"> Now: {intents.get(executing.name)}</span>}
    </p>
  );
}

function listOf(effects: readonly string[]): string {
  return effects.length === 0 ? 'nothing yet.' : `${effects.join('; ')}.`;
}

type Effect = { readonly name: string; readonly summary: string | null };

function doneBy(saga: Saga, { name, summary }: Effect): string {
  if (name === 'RESERVE_SEAT') return `${seatsOf(saga)} held`;
  if (name === 'AUTHORIZE_PAYMENT' && saga.payment) return `${money(saga.payment.amount)} reserved on the card`;
  return summary ?? plainName(name).toLowerCase();
}

/** As what it means to the customer. */
function undoneBy(saga: Saga, { name, summary }: Effect): string {
  if (name === 'CANCEL_SEAT') return `${seatsOf(saga)} free again`;
  const paid = saga.payment && money(saga.payment.amount);
  if (name === 'REFUND_PAYMENT' && paid !== null) return `${paid} given back`;
  if (name === 'CANCEL_PAYMENT' && paid !== null) return `${paid} on the card released, nothing charged`;
  return summary ?? plainName(name).toLowerCase();
}

function seatsOf({ reservations }: Saga): string {
  const seats = reservations.map(({ seat }) => seat.number);
  return `${seats.length === 1 ? 'seat' : 'seats'} ${seats.join(', ')}`;
}
