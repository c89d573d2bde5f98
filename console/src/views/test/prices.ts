import type { CabinClass } from '../../api/generated/graphql';
import type { Money } from '../../pieces/format';
import type { Offer } from './test.graphql';

export type Fare = Offer['fares'][number];

export function fareOf(flight: Pick<Offer, 'fares'>, cabin: CabinClass): Fare | null {
  return flight.fares.find((fare) => fare.cabinClass === cabin) ?? null;
}

/** What the flights cost `people` passengers, before points; null where they are not sold in one currency. */
export function totalOf(flights: readonly Offer[], cabin: CabinClass, people: number): Money | null {
  const prices = flights.map((flight) => fareOf(flight, cabin)?.price ?? null);
  const [first] = prices;
  if (!first || prices.some((price) => price?.currency !== first.currency)) return null;
  const decimals = first.amount.split('.')[1]?.length ?? 0;
  const minor = prices.reduce((sum, price) => sum + Number((price?.amount ?? '').replace('.', '')), 0) * people;
  return { amount: withDecimals(minor, decimals), currency: first.currency };
}

function withDecimals(minor: number, decimals: number): string {
  if (decimals === 0) return String(minor);
  const digits = String(minor).padStart(decimals + 1, '0');
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
