import { bearer } from '../api/token';
import { at } from '../base-path';

/** A tab: what GraphiQL calls by the operation's name. */
export interface Example {
  readonly query: string;
  readonly variables: string;
  readonly headers: string;
}

/** A flight that can be booked now, as the first of the timetable. */
interface FirstFlight {
  readonly id: string;
  readonly departsAt: string;
  readonly origin: { readonly code: string; readonly timeZone: string };
  readonly destination: { readonly code: string };
}

const SEARCH = `# Each tab works as it stands: press Ctrl-Enter. Book, then Follow while it runs.
query SearchTrips($input: TripSearchInput!) {
  searchTrips(input: $input) {
    outbound {
      id
      number
      departsAt
      origin { code city }
      destination { code city }
      fares { cabinClass seatsAvailable price { amount currency } }
    }
  }
}
`;

const BOOK = `# Sent again, it returns the same saga: the correlation ID makes it idempotent.
mutation Book($input: BookFlightInput!) {
  bookFlight(input: $input) {
    saga { correlationId definition status }
    errors { __typename ... on UserError { message path } }
  }
}
`;

const FOLLOW = `# Started before its saga it waits for it; it ends with it. sagaEvents gives every event instead.
subscription Follow($correlationId: UUID!) {
  saga(correlationId: $correlationId) {
    status
    sequence
    queue { pending executing completed failed compensations compensating compensated }
    steps { name status summary undo { name status summary } }
    booking { reference }
  }
}
`;

const CANCEL = `# While its saga runs. Once it is booked, cancelBooking(input: {reference: ...}) undoes the booking.
mutation Cancel($input: CancelSagaInput!) {
  cancelSaga(input: $input) {
    saga { status queue { compensations compensating compensated } }
    errors {
      __typename
      ... on UserError { message }
      ... on TooLateToCancelError { booking { reference } }
    }
  }
}
`;

const FAIL = `# The third step is made to fail, and the two before it are undone. Watch it in the next tab.
mutation BookAndFail($input: BookFlightInput!) {
  bookFlight(input: $input) {
    saga { correlationId status }
    errors { __typename ... on UserError { message path } }
  }
}
`;

const FOLLOW_FAILURE = FOLLOW.replace(/^#.*\n/, '').replace('Follow(', 'FollowFailure(');

/** How long each step waits, so that a person can follow. */
const DELAY_MS = 1_000;

/** The tabs, with a flight that can be booked now and correlation IDs that nobody has used. */
export async function readExamples(headers: string): Promise<Example[]> {
  const flight = await readFirstFlight();
  const [booked, failed] = [crypto.randomUUID(), crypto.randomUUID()];
  const tab = (query: string, variables: object): Example => ({
    query,
    variables: JSON.stringify(variables, null, 2),
    headers,
  });
  return [
    tab(SEARCH, { input: tripOf(flight) }),
    tab(BOOK, { input: bookingOf(flight, booked, []) }),
    tab(FOLLOW, { correlationId: booked }),
    tab(CANCEL, { input: { correlationId: booked } }),
    tab(FAIL, { input: bookingOf(flight, failed, ['AWARD_MILES']) }),
    tab(FOLLOW_FAILURE, { correlationId: failed }),
  ];
}

/** Whether an operation is one of ours as it was. */
export function isExample(query: string | null): boolean {
  return query !== null && [SEARCH, BOOK, FOLLOW, CANCEL, FAIL, FOLLOW_FAILURE].includes(query);
}

/** Null where there is none, or where the server does not answer us: the tabs then say what to fill in. */
async function readFirstFlight(): Promise<FirstFlight | null> {
  const query =
    '{ flights(first: 20) { edges { node { id departsAt origin { code timeZone } destination { code } } } } }';
  try {
    const response = await fetch(at('/graphql'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', ...bearer() },
      body: JSON.stringify({ query }),
    });
    const said = (await response.json()) as { data?: { flights: { edges: { node: FirstFlight }[] } } };
    // Those that depart soonest may have done so before the tab is run.
    return said.data?.flights.edges.at(-1)?.node ?? null;
  } catch {
    return null;
  }
}

// What has a default is given all the same: GraphiQL's editor marks a variable as wrong where it is left out.

function tripOf(flight: FirstFlight | null): object {
  return {
    tripType: 'ONE_WAY',
    origin: flight?.origin.code ?? 'ZRH',
    destination: flight?.destination.code ?? 'LIS',
    departsOn: localDate(new Date(flight?.departsAt ?? Date.now()), flight?.origin.timeZone ?? 'UTC'),
    passengers: 1,
    cabinClass: 'ECONOMY',
  };
}

function bookingOf(flight: FirstFlight | null, correlationId: string, failAt: readonly string[]): object {
  return {
    correlationId,
    segments: [{ flightId: flight?.id ?? 'the id of a flight', cabinClass: 'ECONOMY' }],
    passengers: [{ givenName: 'Ada', familyName: 'Lovelace' }],
    loyalty: { memberNumber: 'SS0000001', pointsToRedeem: 0 },
    simulate: { failAt, failCompensationAt: [], loseAnswerAt: [], delayMs: DELAY_MS },
  };
}

/** YYYY-MM-DD where the flight departs. */
function localDate(instant: Date, timeZone: string): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(instant);
}
