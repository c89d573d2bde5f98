import { useState } from 'react';
import { client, troubleOf } from '../../api/client';
import { useIsLive } from '../../api/connection';
import { type Provider, ProviderPause, ProviderResume } from '../../api/overview.graphql';
import { useMay } from '../../api/viewer';
import { count, plural } from '../../pieces/format';
import { Icon } from '../../pieces/icon';
import { Panel } from '../../pieces/panel';
import { Time } from '../../pieces/times';
import { Badge } from '../../saga/badge';
import type { StateName } from '../../saga/states';
import { RowForm } from '../scheduler/row-form';

const REASON_CHARACTERS_MAX = 500;
export const BREAKERS: Readonly<Record<string, readonly [StateName, string, string]>> = {
  CLOSED: ['completed', 'Calls are sent', ''],
  OPEN: ['stuck', 'Keeps failing', 'No call is sent; a probe follows within a minute.'],
  HALF_OPEN: ['retrying', 'Tried again', 'A few calls are sent, and more while they succeed.'],
  PAUSED: ['stuck', 'Paused', 'No call is sent until an operator resumes it.'],
};

/** Whether no call is sent to the provider. */
export function isShut({ breaker }: Provider): boolean {
  return breaker === 'OPEN' || breaker === 'PAUSED';
}

/** The breaker before the payment provider, as the replica that answers sees it, with its pause. */
export function ProviderPanel({ provider, onSteered }: { provider: Provider; onSteered: () => void }) {
  const [isAsking, setIsAsking] = useState(false);
  const isLive = useIsLive();
  const maySteer = useMay('provider:write');
  const [state, word, meaning] = BREAKERS[provider.breaker] ?? ['pending', provider.breaker, ''];
  const isPaused = provider.breaker === 'PAUSED';
  const { callsInFlight, callsWaiting, callsPerSecondMax, lastFailure } = provider;
  return (
    <Panel title="Payment provider" end={provider.name} className="provider">
      <div className="stands">
        <p>
          <Badge state={state} word={word} /> since <Time at={provider.since} />
        </p>
        {meaning !== '' && <p>{meaning}</p>}
        {provider.reason !== null && <p className="quiet">{provider.reason}</p>}
        <p>
          {plural(callsInFlight, 'call')} in flight, {count(callsWaiting)} waiting
          {callsPerSecondMax !== null && `; at most ${callsPerSecondMax.toFixed(1)} a second`}.
        </p>
        {lastFailure !== null && provider.reason === null && (
          <p className="quiet">
            Last failure: {lastFailure.code}: {lastFailure.message}
          </p>
        )}
        {isAsking ? (
          <SteerForm
            isPaused={isPaused}
            onClose={() => setIsAsking(false)}
            onSteered={() => {
              setIsAsking(false);
              onSteered();
            }}
          />
        ) : (
          maySteer && (
            <button type="button" className="btn" disabled={!isLive} onClick={() => setIsAsking(true)}>
              {isPaused ? 'Resume the provider' : 'Pause the provider'}
            </button>
          )
        )}
      </div>
    </Panel>
  );
}

/** Asks for the reason, which is kept on the record, then pauses or resumes. */
function SteerForm({
  isPaused,
  onClose,
  onSteered,
}: {
  isPaused: boolean;
  onClose: () => void;
  onSteered: () => void;
}) {
  const [isBusy, setIsBusy] = useState(false);
  const steer = async (reason: string): Promise<string | null> => {
    if (reason === '') return 'Say why: the reason is kept in the record of operator actions.';
    setIsBusy(true);
    const trouble = await (isPaused ? resume(reason) : pause(reason));
    setIsBusy(false);
    if (trouble === null) onSteered();
    return trouble;
  };
  return (
    <RowForm
      name={isPaused ? 'Resume the provider' : 'Pause the provider'}
      className="steer"
      label="Reason, required"
      field={{ required: true, maxLength: REASON_CHARACTERS_MAX }}
      submit={
        <button type="submit" className={isPaused ? 'btn primary' : 'btn danger'} disabled={isBusy}>
          {isPaused ? 'Resume' : 'Pause'}
        </button>
      }
      send={steer}
      onClose={onClose}
    />
  );
}

async function pause(reason: string): Promise<string | null> {
  const { data, error } = await client.mutation(ProviderPause, { reason }).toPromise();
  return error ? troubleOf(error).message : (data?.pausePaymentProvider?.errors[0]?.message ?? null);
}

async function resume(reason: string): Promise<string | null> {
  const { data, error } = await client.mutation(ProviderResume, { reason }).toPromise();
  return error ? troubleOf(error).message : (data?.resumePaymentProvider?.errors[0]?.message ?? null);
}

/** Loud, as nobody can pay for as long as this stands. */
export function PaymentsHalted({ provider }: { provider: Provider }) {
  return (
    <div className="banner loud hazard" role="alert">
      <Icon name="stuck" />
      <p>
        <strong>
          {provider.breaker === 'PAUSED' ? 'Payments are paused.' : 'The payment provider keeps failing.'}
        </strong>{' '}
        <span>
          No call is sent since <Time at={provider.since} />; bookings that must pay now are refused, and seats can be
          held. {provider.reason}
        </span>
      </p>
    </div>
  );
}
