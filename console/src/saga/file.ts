import type { Saga, SagaEvent } from '../api/saga.graphql';

/** A saga with its history, as one file: to be sent to a colleague, and opened at /saga/file. */
export interface SagaFile {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly savedAt: string;
  readonly saga: Saga;
  readonly events: readonly SagaEvent[];
}

const FORMAT = 'seatsaga.saga';
const VERSION = 1;
export const FILE_BYTES_MAX = 8_000_000;
const EVENTS_MAX = 20_000;
const ITEMS_MAX = 100;
const CHARACTERS_MAX = 5_000;

/** The file's text. What pays or confirms in the customer's name is left out. */
export function fileOf(saga: Saga, events: readonly SagaEvent[], savedAt: Date): string {
  const awaiting = saga.awaiting && { ...saga.awaiting, clientSecret: null, url: null };
  const file = {
    format: FORMAT,
    version: VERSION,
    savedAt: savedAt.toISOString(),
    saga: { ...saga, awaiting },
    events,
  };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/** The saga in the text; or, in words, why there is none. Nothing but what is named here is taken over. */
export function readFile(text: string): { file: SagaFile; why?: never } | { file?: never; why: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { why: 'The file is not JSON. Choose a file that was saved from the page of a saga.' };
  }
  if (!isObject(value) || value.format !== FORMAT) {
    return { why: 'The file holds something else than a saga. Choose a file that was saved from the page of a saga.' };
  }
  if (value.version !== VERSION) {
    return {
      why: `The file has version ${String(value.version).slice(0, 20)}; this console reads version ${VERSION}.`,
    };
  }
  try {
    return { file: FILE(value, 'file') as unknown as SagaFile };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { why: `The file is damaged: ${error.message}` };
  }
}

class Unreadable extends Error {}

/** Checks a value, and gives what is taken over of it. `at`: where it stands. */
type Check = (value: unknown, at: string) => unknown;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const text: Check = (value, at) => {
  if (typeof value !== 'string' || value.length > CHARACTERS_MAX) throw new Unreadable(`${at} is not a text.`);
  return value;
};
const matching =
  (pattern: RegExp, what: string): Check =>
  (value, at) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw new Unreadable(`${at} is not ${what}.`);
    return value;
  };
const name = matching(/^[A-Za-z_]{1,60}$/, 'a name');
const uuid = matching(UUID, 'a UUID in lower case');
const decimal = matching(/^-?\d{1,18}(\.\d{1,9})?$/, 'a decimal number');
const currency = matching(/^[A-Z]{3}$/, 'a currency');
const instant: Check = (value, at) => {
  if (typeof value !== 'string' || value.length > 40 || Number.isNaN(Date.parse(value))) {
    throw new Unreadable(`${at} is not an instant.`);
  }
  return value;
};
const whole: Check = (value, at) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Unreadable(`${at} is not a whole number.`);
  return value;
};
const zone: Check = (value, at) => {
  try {
    Intl.DateTimeFormat('en', { timeZone: text(value, at) as string });
  } catch {
    throw new Unreadable(`${at} is not a time zone.`);
  }
  return value;
};
/** Null also where it is missing: a file of an earlier console. */
const maybe =
  (check: Check): Check =>
  (value, at) =>
    value === null || value === undefined ? null : check(value, at);
const list =
  (check: Check, max = ITEMS_MAX): Check =>
  (value, at) => {
    if (!Array.isArray(value) || value.length > max) throw new Unreadable(`${at} is not a list of at most ${max}.`);
    return value.map((item, index) => check(item, `${at}[${index}]`));
  };
const object =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value, at) => {
    if (!isObject(value)) throw new Unreadable(`${at} is missing.`);
    return Object.fromEntries(Object.entries(checks).map(([key, check]) => [key, check(value[key], `${at}.${key}`)]));
  };

const MONEY = object({ amount: decimal, currency });
const FAILURE = maybe(object({ code: text, message: text, step: maybe(name) }));
const ACTOR = object({ role: name, subject: maybe(text) });
const TRIES = {
  name,
  status: name,
  attempt: whole,
  nextAttemptAt: maybe(instant),
  startedAt: maybe(instant),
  finishedAt: maybe(instant),
  summary: maybe(text),
  failure: FAILURE,
};
const STEP = object({ ...TRIES, id: text, index: whole, compensation: maybe(name), undo: maybe(object(TRIES)) });
const AIRPORT = object({ code: text, city: text, timeZone: zone });
const FLIGHT = object({
  id: text,
  number: text,
  departsAt: instant,
  arrivesAt: instant,
  durationMinutes: whole,
  origin: AIRPORT,
  destination: AIRPORT,
});
const PERSON = { givenName: text, familyName: text };
const OTHER = object({ id: text, correlationId: uuid, status: maybe(name) });
const SAGA = object({
  id: text,
  correlationId: uuid,
  definition: name,
  definitionVersion: whole,
  memberNumber: maybe(text),
  status: name,
  sequence: whole,
  startedAt: instant,
  finishedAt: maybe(instant),
  stuckSince: maybe(instant),
  failure: FAILURE,
  awaiting: maybe(object({ __typename: name, until: instant, lastFailure: FAILURE, amount: maybe(MONEY) })),
  atStake: maybe(object({ money: maybe(MONEY), points: whole, seats: whole })),
  settlement: maybe(object({ at: instant, how: text, by: ACTOR })),
  steps: list(STEP),
  queue: object({
    pending: list(name),
    executing: maybe(name),
    completed: list(name),
    failed: list(name),
    compensations: list(name),
    compensating: maybe(name),
    compensated: list(name),
  }),
  flights: list(FLIGHT),
  passengers: list(object(PERSON)),
  reservations: list(
    object({
      id: text,
      status: name,
      cabinClass: name,
      heldAt: instant,
      expiresAt: instant,
      flight: object({ id: text, number: text }),
      seat: object({ id: text, number: text }),
      passenger: object(PERSON),
    }),
  ),
  payment: maybe(object({ id: text, status: name, method: name, providerReference: maybe(text), amount: MONEY })),
  booking: maybe(
    object({
      id: text,
      reference: text,
      status: name,
      milesAwarded: whole,
      pointsRedeemed: whole,
      createdAt: instant,
      total: MONEY,
      saga: OTHER,
      cancellation: maybe(OTHER),
    }),
  ),
});
const EVENT = object({
  id: text,
  correlationId: uuid,
  sequence: whole,
  type: name,
  step: maybe(name),
  compensation: maybe(name),
  attempt: maybe(whole),
  message: text,
  at: instant,
  failure: FAILURE,
  actor: maybe(ACTOR),
  facts: maybe(object({ __typename: name, until: maybe(instant) })),
});
const FILE = object({
  format: text,
  version: whole,
  savedAt: instant,
  saga: SAGA,
  events: list(EVENT, EVENTS_MAX),
});
