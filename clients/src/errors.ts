// #region errors
import type { Booked } from './operations.js';

/** Returns the text for a customer whose journey was not booked. */
export function advice(error: Booked['errors'][number]): string {
  switch (error.__typename) {
    case 'PriceChangedError':
      return `It costs ${error.total.amount} ${error.total.currency} now. Book at this price?`;
    case 'FlightNotFoundError':
    case 'FlightDepartedError':
      return 'Choose another flight.';
    case 'InvalidInputError':
      return `${error.path.join('.')}: ${error.message}`;
    default:
      return error.message; // a new member of the union is also a UserError, with a message for a person
  }
}
// #endregion

// #region codes
interface Extensions {
  readonly code?: string;
  readonly retryAfterSeconds?: number;
  readonly resumeAfter?: number;
}

/** Returns an error's extensions, whichever library threw it. */
export function extensionsOf(error: unknown): Extensions {
  // Apollo and @seatsaga/follow, urql, Relay
  const { errors, graphQLErrors, source } = error as { errors?: unknown; graphQLErrors?: unknown; source?: any };
  const all = [errors, graphQLErrors, source?.errors, error].find(Array.isArray);
  return all?.[0]?.extensions ?? {};
}

/** Sends a refused request again when the server says. Safe only with a correlationId, which makes it idempotent. */
export async function patiently<Answer>(send: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await send();
    } catch (error) {
      const { code, retryAfterSeconds } = extensionsOf(error);
      const passes = code === 'LIMIT_EXCEEDED' || code === 'UNAVAILABLE';
      if (!passes || retryAfterSeconds === undefined) throw error;
      await new Promise((again) => setTimeout(again, retryAfterSeconds * 1000));
    }
  }
}
// #endregion
