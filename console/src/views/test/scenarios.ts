import type { Client } from '@urql/core';
import type { SagaDefinition, SagaScenario } from '../../api/definitions.graphql';
import type { CompensationName, StepName } from '../../api/generated/graphql';
import { type Saga, type SagaEvent, SagaEvents, SagaNow } from '../../api/saga.graphql';
import { subscribe } from '../../api/socket';
import { bankPageAt } from './bank-dialog';
import { refusalOf, refusalOfError } from './refusal';
import { BookFlight, ConfirmCard, Member, PayForHold } from './test.graphql';

/** One of the server's scenarios: how it is booked, and what must become of it. */
export interface Scenario {
  readonly definition: SagaDefinition;
  /** Whether its saga is chosen by redeeming points. */
  readonly redeems: boolean;
  readonly outcome: SagaScenario;
}

/** Those of every saga that books and that new bookings start with. */
export function scenariosOf(definitions: readonly SagaDefinition[]): Scenario[] {
  return definitions
    .filter(({ isCurrent }) => isCurrent)
    .flatMap((definition) => {
      const redeems = definition.scenarios.some((outcome) => outcome.redeemsPoints);
      return definition.scenarios.map((outcome) => ({ definition, redeems, outcome }));
    });
}

/** The exact expected result of a scenario, and the actual one. */
export interface Outcome {
  readonly status: string;
  readonly failedStep: StepName | null;
  readonly failureCode: string | null;
  readonly completed: readonly StepName[];
  readonly compensations: readonly CompensationName[];
  readonly sequenceWithoutGap: boolean;
  readonly reservations: readonly string[];
  readonly payment: string | null;
  readonly booking: boolean;
  readonly pointsChanged: number;
  readonly milesAwarded: boolean;
}

const POINTS = 1_000;
const DELAY_MS = 60;
const SECONDS_MAX = 60;
const SENDS_MAX = 30;
const RESEND_MS = 1_000;
const MEMBERS = 100;

export function expectedOf({ outcome }: Scenario): Outcome {
  return {
    status: outcome.status,
    failedStep: outcome.failedStep,
    failureCode: outcome.failureCode,
    completed: outcome.completed,
    compensations: outcome.compensated,
    sequenceWithoutGap: true,
    reservations: outcome.reservations === null ? [] : [outcome.reservations],
    payment: outcome.payment,
    booking: outcome.isBooked,
    pointsChanged: outcome.redeemsPoints ? -POINTS : 0,
    milesAwarded: outcome.awardsMiles,
  };
}

/** The names of what differs, each with what was expected and seen. */
export function differencesOf(expected: Outcome, seen: Outcome): string[] {
  return (Object.keys(expected) as (keyof Outcome)[])
    .filter((key) => JSON.stringify(expected[key]) !== JSON.stringify(seen[key]))
    .map((key) => `${key}: expected ${JSON.stringify(expected[key])}, seen ${JSON.stringify(seen[key])}`);
}

/** Where scenarios are run: a flight with room, a member with points. */
export interface Ground {
  readonly client: Client;
  readonly flightId: string;
  readonly memberNumber: string;
  readonly signal: AbortSignal;
}

/** The first demo member with points enough and nothing pending; throws where there is none. */
export async function memberWithPoints(client: Client, signal: AbortSignal): Promise<string> {
  for (let number = 1; number <= MEMBERS; number++) {
    signal.throwIfAborted();
    const memberNumber = `SS${String(number).padStart(7, '0')}`;
    const account = await accountOf(client, memberNumber);
    if (account !== null && account.balance >= POINTS && account.pendingMiles === 0) return memberNumber;
  }
  throw new Error(`No demo member has ${POINTS} points. Add them with: seatsaga seed`);
}

/**
 * Subscribes first, then books, and does what the customer does while the saga waits; `onSaga` receives each state of
 * the saga. Throws if it could not be booked or paid for.
 */
export async function runScenario(
  scenario: Scenario,
  correlationId: string,
  ground: Ground,
  onSaga: (saga: Saga) => void,
): Promise<Outcome> {
  const before = await accountOf(ground.client, ground.memberNumber);
  const customer = customerOf(scenario, ground.client);
  const see = (saga: Saga): void => {
    onSaga(saga);
    customer.see(saga);
  };
  const following = Promise.race([follow(correlationId, see, ground.signal), customer.fails]);
  // It is awaited only after the booking; an earlier failure must not count as unhandled.
  following.catch(() => {});
  await book(scenario, correlationId, ground);
  const { saga, events } = await following;
  const after = await accountOf(ground.client, ground.memberNumber);
  const miles = saga.booking?.milesAwarded ?? 0;
  return {
    status: saga.status,
    failedStep: saga.failure?.step ?? null,
    failureCode: saga.failure?.code ?? null,
    completed: events.flatMap(({ type, step }) => (type === 'STEP_COMPLETED' && step ? step : [])),
    compensations: events.flatMap(({ type, compensation }) =>
      type === 'COMPENSATION_COMPLETED' && compensation ? compensation : [],
    ),
    sequenceWithoutGap: events.every((event, index) => event.sequence === index + 1),
    reservations: saga.reservations.map(({ status }) => status),
    payment: saga.payment?.status ?? null,
    booking: saga.booking !== null,
    pointsChanged: (after?.balance ?? 0) - (before?.balance ?? 0) - miles,
    milesAwarded: miles > 0,
  };
}

async function accountOf(client: Client, memberNumber: string) {
  const context = { requestPolicy: 'network-only' as const };
  const { data, error } = await client.query(Member, { memberNumber }, context).toPromise();
  if (error) throw new Error(error.message);
  return data?.loyaltyAccount ?? null;
}

/** The customer of a scenario: names the next card each time one is asked for, and answers the bank. */
export function customerOf({ outcome }: Scenario, client: Client) {
  const cards = outcome.payLater ? [...outcome.cards] : [];
  let acted = 0;
  let fail: (error: unknown) => void = () => {};
  const fails = new Promise<never>((_, reject) => {
    fail = reject;
  });
  fails.catch(() => {});
  return {
    fails,
    see(saga: Saga): void {
      // A frame may come twice; each wait has its own event.
      if (saga.awaiting === null || saga.sequence <= acted) return;
      acted = saga.sequence;
      act(saga, saga.awaiting).catch(fail);
    },
  };

  async function act({ correlationId }: Saga, awaiting: NonNullable<Saga['awaiting']>): Promise<void> {
    const card = cards[0];
    if (awaiting.__typename === 'PaymentAwaited' && card !== undefined) {
      cards.shift();
      const { data, error } = await client
        .mutation(PayForHold, { input: { correlationId, payment: { token: card } } })
        .toPromise();
      const [refusal] = data?.payForHold?.errors ?? [];
      if (error || refusal) throw new Error(error?.message ?? refusal?.message);
    } else if (awaiting.__typename === 'CardConfirmationAwaited' && outcome.holderApproves !== null) {
      const page = awaiting.url === null ? null : bankPageAt(awaiting.url);
      if (page === null || !page.isOurs) throw new Error('Only the sandbox’s page can be answered here.');
      const body = new URLSearchParams({ answer: outcome.holderApproves ? 'approve' : 'refuse' });
      const response = await fetch(page.href, { method: 'POST', body });
      if (!response.ok) throw new Error(`The bank’s page answers ${response.status}.`);
      await client.mutation(ConfirmCard, { correlationId }).toPromise();
    }
  }
}

/** Retries under the same ID while the server is unreachable or accepts no more; it is booked once at most. */
async function book({ redeems, outcome }: Scenario, correlationId: string, ground: Ground): Promise<void> {
  const { failAt, payLater, cards } = outcome;
  const input = {
    payLater,
    payment: payLater || cards[0] === undefined ? null : { token: cards[0] },
    correlationId,
    segments: [{ flightId: ground.flightId, cabinClass: 'ECONOMY' as const }],
    passengers: [{ givenName: 'Grace', familyName: 'Hopper' }],
    loyalty: { memberNumber: ground.memberNumber, pointsToRedeem: redeems ? POINTS : 0 },
    simulate: { failAt: failAt === null ? [] : [failAt], delayMs: DELAY_MS },
  };
  for (let sent = 1; ; sent++) {
    ground.signal.throwIfAborted();
    const { data, error } = await ground.client.mutation(BookFlight, { input }).toPromise();
    const refusal = error ? refusalOfError(error, Date.now()) : refusalOf(data?.bookFlight?.errors ?? []);
    if (refusal === null) return;
    const isPassing = refusal.code === 'UNREACHABLE' || refusal.retryAt !== null;
    if (!isPassing || sent === SENDS_MAX) throw new Error(refusal.title);
    await pause(refusal.retryAt === null ? RESEND_MS : refusal.retryAt - Date.now());
  }
}

/** The saga at its end, with all its events. */
function follow(
  correlationId: string,
  onSaga: (saga: Saga) => void,
  signal: AbortSignal,
): Promise<{ saga: Saga; events: SagaEvent[] }> {
  const events: SagaEvent[] = [];
  let last: Saga | null = null;
  const ends: (() => void)[] = [];
  const timeout = AbortSignal.timeout(SECONDS_MAX * 1_000);
  const over = Promise.all([
    new Promise<void>((resolve, reject) => {
      ends.push(
        subscribe(
          SagaNow,
          { correlationId },
          {
            next: ({ saga }) => {
              last = saga;
              onSaga(saga);
            },
            complete: resolve,
            error: ({ message }) => reject(new Error(message)),
          },
        ),
      );
    }),
    new Promise<void>((resolve, reject) => {
      const variables = {
        correlationId,
        get after() {
          return events.at(-1)?.sequence ?? 0;
        },
      };
      ends.push(
        subscribe(SagaEvents, variables, {
          next: ({ sagaEvents }) => void events.push(sagaEvents),
          complete: resolve,
          error: ({ message }) => reject(new Error(message)),
        }),
      );
    }),
  ]);
  const given = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('Stopped.')), { once: true });
    timeout.addEventListener('abort', () => reject(new Error(`Not over after ${SECONDS_MAX} s.`)), { once: true });
  });
  return Promise.race([over, given])
    .then(() => {
      if (last === null) throw new Error('The saga was not seen.');
      return { saga: last, events };
    })
    .finally(() => {
      for (const end of ends) end();
    });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, milliseconds)));
}
