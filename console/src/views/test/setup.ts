import type { CabinClass, TripType } from '../../api/generated/graphql';
import type { Saga } from '../../api/saga.graphql';
import { CARD_DEFAULT, nameOfToken, tokenNamed } from './cards';
import { type Faults, NO_FAULTS, type Pays } from './definition';

/** The input of a run, as in the form. Null: not chosen yet. */
/** When a booking is paid: with the request, or while its seats are held. */
export type When = 'now' | 'later';

export interface Setup {
  readonly trip: TripType;
  /** IATA codes. */
  readonly from: string | null;
  readonly to: string | null;
  /** Dates as YYYY-MM-DD, each in the local time of where the flight departs. */
  readonly on: string | null;
  readonly back: string | null;
  /** Flight numbers; null: the first that is found. */
  readonly flight: string | null;
  readonly flightBack: string | null;
  readonly cabin: CabinClass;
  /** A name each, 1 to 9. */
  readonly people: readonly string[];
  readonly pays: Pays;
  /** Empty: nobody who earns. */
  readonly member: string;
  readonly points: number;
  readonly when: When;
  /** The card's token, for a booking that is paid with its request. */
  readonly card: string;
  readonly faults: Faults;
  readonly delayMs: number;
}

export type Change = (change: Partial<Setup>) => void;

export const PEOPLE_MAX = 9;
/** The default time until the return flight, when a trip becomes a round trip. */
export const DAYS_AWAY = 3;
export const DELAY_MS_MAX = 5_000;
const NAMES = [
  'Maya Lindqvist',
  'Tomas Lindqvist',
  'Amara Okafor',
  'Jun Watanabe',
  'Elif Demir',
  'Mateo Rojas',
  'Priya Raman',
  'Noah Keller',
  'Sofia Moreau',
] as const;
const CABINS: readonly CabinClass[] = ['ECONOMY', 'BUSINESS', 'FIRST'];

export function nameOf(index: number): string {
  return NAMES[index] ?? `Guest ${index + 1}`;
}

const FRESH: Setup = {
  trip: 'ONE_WAY',
  from: null,
  to: null,
  on: null,
  back: null,
  flight: null,
  flightBack: null,
  cabin: 'ECONOMY',
  people: [nameOf(0)],
  pays: 'earn',
  member: 'SS0000001',
  points: 1_000,
  when: 'now',
  card: CARD_DEFAULT,
  faults: NO_FAULTS,
  delayMs: 600,
};

/** The form of an address; missing parts are as in a new form. It never has names, nor a token of one's own. */
export function setupOf(params: URLSearchParams): Setup {
  const people = whole(params.get('people'), 1, PEOPLE_MAX) ?? FRESH.people.length;
  return {
    trip: params.get('trip') === 'round' ? 'ROUND_TRIP' : 'ONE_WAY',
    from: params.get('from'),
    to: params.get('to'),
    on: dateOf(params.get('on')),
    back: dateOf(params.get('back')),
    flight: params.get('flight'),
    flightBack: params.get('flightBack'),
    cabin: CABINS.find((cabin) => cabin.toLowerCase() === params.get('cabin')) ?? FRESH.cabin,
    people: Array.from({ length: people }, (_, index) => nameOf(index)),
    pays: params.get('pays') === 'redeem' ? 'redeem' : 'earn',
    member: params.get('member') ?? FRESH.member,
    points: whole(params.get('points'), 1, 10_000_000) ?? FRESH.points,
    when: params.get('when') === 'later' ? 'later' : FRESH.when,
    card: tokenNamed(params.get('card')) ?? FRESH.card,
    faults: {
      fails: ticksOf(params.get('fails')),
      loses: ticksOf(params.get('loses')),
      undoFails: ticksOf(params.get('undoFails')),
    },
    delayMs: whole(params.get('delay'), 0, DELAY_MS_MAX) ?? FRESH.delayMs,
  };
}

/** The address of a form, without values that a new form has, too. */
export function paramsOf(setup: Setup, correlationId: string | null): URLSearchParams {
  const isRound = setup.trip === 'ROUND_TRIP';
  const said: [string, string | null | false][] = [
    ['trip', isRound && 'round'],
    ['from', setup.from],
    ['to', setup.to],
    ['on', setup.on],
    ['back', isRound && setup.back],
    ['flight', setup.flight],
    ['flightBack', isRound && setup.flightBack],
    ['cabin', setup.cabin !== FRESH.cabin && setup.cabin.toLowerCase()],
    ['people', setup.people.length !== FRESH.people.length && String(setup.people.length)],
    ['pays', setup.pays !== FRESH.pays && setup.pays],
    ['member', setup.member !== FRESH.member && setup.member],
    ['points', setup.points !== FRESH.points && String(setup.points)],
    ['when', setup.when !== FRESH.when && setup.when],
    ['card', setup.card !== FRESH.card && nameOfToken(setup.card)],
    ['fails', positionsOf(setup.faults.fails)],
    ['loses', positionsOf(setup.faults.loses)],
    ['undoFails', positionsOf(setup.faults.undoFails)],
    ['delay', setup.delayMs !== FRESH.delayMs && String(setup.delayMs)],
    ['id', correlationId],
  ];
  const params = new URLSearchParams();
  for (const [name, value] of said) if (value !== null && value !== false) params.set(name, value);
  return params;
}

/** The form of a saga that was come to by its address alone. */
export function ofSaga(saga: Saga): Partial<Setup> {
  const [there, back] = saga.flights;
  if (!there) return {};
  return {
    trip: back ? 'ROUND_TRIP' : 'ONE_WAY',
    from: there.origin.code,
    to: there.destination.code,
    on: localDate(there.departsAt, there.origin.timeZone),
    back: back ? localDate(back.departsAt, back.origin.timeZone) : null,
    flight: there.number,
    flightBack: back?.number ?? null,
    cabin: saga.reservations[0]?.cabinClass ?? FRESH.cabin,
    people: saga.passengers.map(({ givenName, familyName }) => `${givenName} ${familyName}`),
    pays: saga.definition === 'BOOK_AND_REDEEM' ? 'redeem' : 'earn',
  };
}

/** YYYY-MM-DD where the clock shows `timeZone`. */
export function localDate(instant: string, timeZone: string): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone }).format(new Date(instant));
}

export function daysLater(date: string, days: number): string {
  const moved = new Date(`${date}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

function dateOf(text: string | null): string | null {
  return text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) ? text : null;
}

function whole(text: string | null, min: number, max: number): number | null {
  const value = Number(text);
  return text !== null && Number.isInteger(value) && value >= min && value <= max ? value : null;
}

/** "13": the first and the third. */
function ticksOf(positions: string | null): readonly boolean[] {
  return NO_FAULTS.fails.map((_, index) => positions?.includes(String(index + 1)) ?? false);
}

function positionsOf(ticks: readonly boolean[]): string | null {
  return ticks.flatMap((isTicked, index) => (isTicked ? index + 1 : [])).join('') || null;
}
