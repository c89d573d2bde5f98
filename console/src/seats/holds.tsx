import { useNow } from '../api/clock';
import type { Seat } from '../api/seats.graphql';
import { Countdown } from '../pieces/times';
import type { Claim } from './looks';

/** When your hold and the next one of somebody else lapse; both lines are there from the first. */
export function Holds({ seats, claims }: { seats: ReadonlyMap<string, Seat>; claims: ReadonlyMap<string, Claim> }) {
  const now = useNow();
  const held = [...seats.values()].filter((seat) => seat.holdExpiresAt !== null);
  const yours = held.filter((seat) => claims.has(seat.number));
  const next = held
    .filter((seat) => !claims.has(seat.number) && Date.parse(seat.holdExpiresAt ?? '') > now)
    .sort((a, b) => (a.holdExpiresAt ?? '').localeCompare(b.holdExpiresAt ?? ''))[0];
  const isReleasing = yours.some((seat) => claims.get(seat.number)?.state === 'releasing');
  return (
    <dl className="holds">
      <div>
        <dt>Your hold{yours.length > 0 && `, ${yours.map((seat) => seat.number).join(' ')}`}</dt>
        <dd>
          <Left seat={yours[0]} /> <small>{isReleasing && 'releasing'}</small>
        </dd>
      </div>
      <div>
        <dt>Next hold to lapse</dt>
        <dd>
          {next && (
            <>
              {next.number} <small>in</small>{' '}
            </>
          )}
          <Left seat={next} />
        </dd>
      </div>
    </dl>
  );
}

function Left({ seat }: { seat: Seat | undefined }) {
  if (!seat?.holdExpiresAt) return <span className="quiet">none</span>;
  return <Countdown until={seat.holdExpiresAt} />;
}
