import { money, plural } from '../pieces/format';

interface Sum {
  readonly amount: string;
  readonly currency: string;
}

/** "116.00 USD, 3 000 points, 2 seats": what somebody loses if nothing more is done. Empty where that is nothing. */
export function stakeSaid(sums: readonly Sum[], points: number, seats: number): string {
  return [
    ...sums.map(money),
    ...(points > 0 ? [plural(points, 'point')] : []),
    ...(seats > 0 ? [plural(seats, 'seat')] : []),
  ].join(', ');
}

/** What is at stake in one saga. */
export function stakeOf(stake: { money: Sum | null; points: number; seats: number } | null): string {
  return stake === null ? '' : stakeSaid(stake.money === null ? [] : [stake.money], stake.points, stake.seats);
}
