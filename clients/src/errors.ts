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
