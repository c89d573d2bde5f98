import { Link } from 'wouter';
import { useNow } from '../../api/clock';
import type { HeldSeat } from '../../api/overview.graphql';
import { left, plural } from '../../pieces/format';
import { Empty } from '../../pieces/notices';
import { Panel } from '../../pieces/panel';

const SHOWN_MAX = 6;
const NEAR_MS = 120_000;

/** The seats that one saga holds on one flight, which lapse together. */
interface Hold {
  readonly key: string;
  readonly correlationId: string;
  readonly heldAt: string;
  readonly expiresAt: string;
  readonly flight: HeldSeat['flight'];
  readonly seats: readonly string[];
}

/** Holds by when they lapse, the soonest first. `seats`: the soonest of them; `total`: of all. */
export function Holds({ seats, total }: { seats: readonly HeldSeat[]; total: number }) {
  const holds = holdsOf(seats);
  return (
    <Panel title="Holds about to lapse" end={`${plural(total, 'seat')} held`}>
      {holds.length === 0 ? (
        <Empty title="No seat is held">A seat is held from its reservation to the end of its saga.</Empty>
      ) : (
        <ol className="holdlist">
          {holds.slice(0, SHOWN_MAX).map((hold) => (
            <Row key={hold.key} hold={hold} />
          ))}
        </ol>
      )}
    </Panel>
  );
}

function Row({ hold }: { hold: Hold }) {
  const milliseconds = Date.parse(hold.expiresAt) - useNow();
  const whole = Date.parse(hold.expiresAt) - Date.parse(hold.heldAt);
  const rest = Math.max(0, Math.min(1, milliseconds / whole));
  const { flight, seats } = hold;
  return (
    <li data-near={milliseconds < NEAR_MS || undefined}>
      <span className="t">{milliseconds <= 0 ? 'lapsed' : left(milliseconds)}</span>
      <svg className="rest" width="100%" height="6" aria-hidden="true">
        <rect width="100%" height="6" rx="3" className="well" />
        <rect width={`${rest * 100}%`} height="6" rx="3" />
      </svg>
      <span className="whose">
        <b>{seats.join(', ')}</b>{' '}
        <span className="quiet">
          {flight.number} {flight.origin.code} {flight.destination.code}
        </span>
      </span>
      <Link href={`/saga/${hold.correlationId}`} aria-label={`Saga that holds ${seats.join(', ')} of ${flight.number}`}>
        Saga
      </Link>
    </li>
  );
}

function holdsOf(seats: readonly HeldSeat[]): Hold[] {
  const holds = new Map<string, Hold>();
  for (const { correlationId, heldAt, expiresAt, flight, seat } of seats) {
    const key = `${correlationId} ${flight.id}`;
    const before = holds.get(key);
    holds.set(key, { key, correlationId, heldAt, expiresAt, flight, seats: [...(before?.seats ?? []), seat.number] });
  }
  return [...holds.values()];
}
