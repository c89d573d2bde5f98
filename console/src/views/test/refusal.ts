import type { CombinedError } from '@urql/core';
import { troubleOf } from '../../api/client';
import { money, plural } from '../../pieces/format';
import type { BookError } from './test.graphql';

/** A refused booking: what happened, what to do, and when to retry. */
export interface Refusal {
  /** A code of the API, or the name of an error of its payload. */
  readonly code: string;
  readonly title: string;
  readonly advice: string;
  /** Milliseconds since the epoch, by this machine's clock; null where waiting does not help. */
  readonly retryAt: number | null;
  /** The id under which the server's log has it. */
  readonly logId: string | null;
  /** Whether the same request is worth sending again as it is. */
  readonly isRepeatable: boolean;
}

/** The refusal for a payload's errors: the first leads, the others follow. */
export function refusalOf(errors: readonly BookError[]): Refusal | null {
  const [first, ...others] = errors;
  if (first === undefined) return null;
  const title = [first, ...others].map((error) => error.message).join(' ');
  const code = first.__typename;
  return {
    code,
    title,
    advice: adviceOn(first),
    retryAt: null,
    logId: null,
    isRepeatable: code === 'TooManyHoldsError',
  };
}

/** The refusal for a request that was not served at all. */
export function refusalOfError(error: CombinedError, now: number): Refusal {
  const { code, message, logId } = troubleOf(error);
  const seconds = Number(error.graphQLErrors[0]?.extensions.retryAfterSeconds);
  const retryAt = Number.isFinite(seconds) && seconds > 0 ? now + seconds * 1_000 : null;
  return {
    code,
    title: message,
    advice: ADVICE_ON_CODES[code] ?? 'Nothing was booked. Try again; if it happens again, the log has the cause.',
    retryAt,
    logId,
    isRepeatable: true,
  };
}

const ADVICE_ON_CODES: Readonly<Record<string, string>> = {
  UNREACHABLE: 'The request may have arrived anyway. Send it again: the same correlation ID is booked once at most.',
  LIMIT_EXCEEDED: 'The server accepts no more requests for now. Nothing was booked; try again when the time is over.',
  UNAUTHENTICATED: 'This server needs a token. Enter it on an operator page, then run again.',
  FORBIDDEN: 'The token of this tab may not book. Nothing was booked.',
  BAD_USER_INPUT: 'Nothing was booked. Correct the named input, then run again.',
};

function adviceOn(error: BookError): string {
  switch (error.__typename) {
    case 'InvalidInputError':
      return `Nothing was booked. Change ${placeOf(error.path)}, then run again.`;
    case 'FlightNotFoundError':
      return 'Nothing was booked. Choose another flight; this one is no longer sold.';
    case 'FlightDepartedError':
      return 'Nothing was booked. Choose a later flight.';
    case 'MemberNotFoundError':
      return 'Nothing was booked. Demo members are SS0000001 to SS0000100.';
    case 'PriceChangedError':
      return `Nothing was booked. Run again to book at ${money(error.total)}.`;
    case 'CorrelationIdReusedError':
      return 'Nothing was booked. Run again: each run has a new correlation ID.';
    case 'SimulationDisabledError':
      return 'Nothing was booked. Set the pause to 0 and run success, or start the server with SEATSAGA_SIMULATION=on.';
    case 'PaymentsUnavailableError':
      return `Nothing was booked. Hold the seats first (payLater: true) and pay later, or run again in ${plural(error.retryAfterSeconds, 'second')}.`;
    case 'TooManyHoldsError':
      return `Nothing was booked. One caller may have ${error.limit} of these seats: cancel a saga or a booking, or wait until a hold lapses.`;
  }
}

const PLACES: Readonly<Record<string, string>> = {
  segments: 'the flights',
  loyalty: 'the member or the points',
  payment: 'the payment',
  simulate: 'what should go wrong',
};

/** The place on this page of the input that an error names. */
function placeOf(path: readonly string[]): string {
  const [, first, ...rest] = path[0] === 'input' ? path : ['input', ...path];
  if (first === 'passengers') {
    const name = rest.includes('givenName') || rest.includes('familyName') ? ': the name' : '';
    return rest[0] === undefined ? 'the passengers' : `passenger ${Number(rest[0]) + 1}${name}`;
  }
  if (first === 'segments' && rest.includes('seats')) return 'the seats';
  return PLACES[first ?? ''] ?? 'what it names';
}
