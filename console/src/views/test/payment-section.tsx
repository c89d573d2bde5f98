import { useEffect, useId } from 'react';
import { useQuery } from 'urql';
import type { SagaStatus } from '../../api/generated/graphql';
import { useRead } from '../../api/read';
import { useMay } from '../../api/viewer';
import { count, money, plural } from '../../pieces/format';
import { TERMINAL } from '../../saga/states';
import { CardFields } from './card-fields';
import { Choices } from './choices';
import type { Pays } from './definition';
import { totalOf } from './prices';
import type { Change, Setup, When } from './setup';
import { Member, type Offer, ProviderNow } from './test.graphql';

const WAYS = [
  ['earn', 'Earn miles'],
  ['redeem', 'Redeem points'],
] as const satisfies readonly (readonly [Pays, string])[];
const TIMES = [
  ['now', 'Pay now'],
  ['later', 'Hold first'],
] as const satisfies readonly (readonly [When, string])[];
const PROVIDER_EVERY_MS = 10_000;
const MEMBER_NUMBER = /^SS\d{7}$/;

/** Whether miles are earned or points redeemed, and whose; when it is paid, and by which card. `status`: of the run shown; its end changes the balance. */
export function PaymentSection({
  setup,
  change,
  flights,
  status,
}: {
  setup: Setup;
  change: Change;
  flights: readonly Offer[];
  status: SagaStatus | null;
}) {
  const total = totalOf(flights, setup.cabin, setup.people.length);
  const isRedeeming = setup.pays === 'redeem';
  const said = useId();
  return (
    <section>
      <h2>
        Payment{' '}
        <span>
          {total ? `${money(total)}${isRedeeming ? `, less ${plural(setup.points, 'point')}` : ' by card'}` : '\u00a0'}
        </span>
      </h2>
      <Choices label="Miles or points" options={WAYS} value={setup.pays} onChange={(pays) => change({ pays })} />
      <div className="g2">
        <label className="field">
          <span>Member</span>
          <input
            className="input mono"
            autoComplete="off"
            spellCheck={false}
            placeholder="nobody"
            maxLength={9}
            required={isRedeeming}
            aria-describedby={said}
            value={setup.member}
            onChange={({ target }) => change({ member: target.value.toUpperCase() })}
          />
        </label>
        <label className="field">
          <span>Points to redeem</span>
          <input
            className="input"
            type="number"
            min={1}
            step={1}
            disabled={!isRedeeming}
            value={isRedeeming ? setup.points || '' : ''}
            onChange={({ target }) => change({ points: Math.max(0, Math.round(Number(target.value))) })}
          />
        </label>
      </div>
      <p className="hint" id={said}>
        <Balance member={setup.member} status={status} />
      </p>
      <Choices label="When to pay" options={TIMES} value={setup.when} onChange={(when) => change({ when })} />
      <p className="away" role="status">
        <Away isPaidNow={setup.when === 'now'} />
      </p>
      <CardFields
        label="Card"
        token={setup.card}
        isDisabled={setup.when === 'later'}
        onChange={(card) => change({ card })}
      />
    </section>
  );
}

/** Says before a run that it would be refused; to those who may see the provider. */
function Away({ isPaidNow }: { isPaidNow: boolean }) {
  const maySee = useMay('sagas:read', 'provider:write');
  const { data } = useRead(ProviderNow, maySee ? 'provider' : null, () => ({}), PROVIDER_EVERY_MS);
  const breaker = data?.paymentProvider?.breaker;
  if (breaker !== 'OPEN' && breaker !== 'PAUSED') return null;
  const is = breaker === 'PAUSED' ? 'is paused' : 'keeps failing';
  return isPaidNow
    ? `The payment provider ${is}: bookings that pay now are refused. Hold first, and pay later.`
    : `The payment provider ${is}: seats can be held, and paid for once it is back.`;
}

function Balance({ member, status }: { member: string; status: SagaStatus | null }) {
  const isNumber = MEMBER_NUMBER.test(member);
  const [{ data, error, fetching }, again] = useQuery({
    query: Member,
    variables: { memberNumber: member },
    pause: !isNumber,
    requestPolicy: 'cache-and-network',
  });
  const isOver = status !== null && TERMINAL.has(status);
  useEffect(() => {
    if (isOver && isNumber) again({ requestPolicy: 'network-only' });
  }, [isOver, isNumber, again]);
  if (member === '') return 'Nobody earns: award miles will be skipped.';
  if (!isNumber) return 'A member number is SS and seven digits.';
  if (fetching && data === undefined) return 'Loading the account';
  if (error) return 'The account could not be read.';
  const account = data?.loyaltyAccount;
  if (!account) return 'No such member; try SS0000001 to SS0000100.';
  const pending = account.pendingMiles > 0 ? `, ${count(account.pendingMiles)} pending` : '';
  return `${account.name}: ${plural(account.balance, 'point')}${pending}`;
}
