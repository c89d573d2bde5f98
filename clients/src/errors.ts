// #region errors
import type { Booked } from './operations.js';

/** What to say to a customer whose journey was not booked. */
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
      return error.message; // more may come: every member of the union is a UserError, with a message for a person
  }
}
// #endregion

// #region codes
interface Extensions {
  readonly code?: string;
  readonly retryAfterSeconds?: number;
  readonly resumeAfter?: number;
}

/** What the server says of an error besides its message, whichever library has thrown it. */
export function extensionsOf(error: unknown): Extensions {
  const { errors, graphQLErrors } = error as { errors?: unknown; graphQLErrors?: unknown }; // Apollo's, and urql's
  const all = [errors, graphQLErrors, error].find(Array.isArray);
  return all?.[0]?.extensions ?? {};
}

/** Sends again what the server cannot take now, when it says. Only with a correlationId: then it is safe. */
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
