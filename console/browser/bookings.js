/**
 * The steps that a booking goes through now, with what undoes them, as the server's definition has them.
 *
 * @param {import('./story.js').Stage['query']} query
 * @param {'BOOK_AND_EARN' | 'BOOK_AND_REDEEM'} definition
 * @returns {Promise<{ name: string, compensation: string | null }[]>}
 */
export async function stepsOf(query, definition) {
  const { sagaDefinitions } = await query('{ sagaDefinitions { name isCurrent steps { name compensation } } }');
  return sagaDefinitions.find((/** @type {any} */ each) => each.name === definition && each.isCurrent).steps;
}

const ROOMY_SEATS = 120;

/**
 * A booking made beside the page, for stories that begin with one.
 *
 * @param {import('./story.js').Stage['query']} query
 * @param {{ correlationId?: string, simulate?: object, points?: number, member?: string, passengers?: number }} wish
 * @returns {Promise<string>} Its correlation ID.
 */
export async function book(
  query,
  { correlationId, simulate = {}, points = 0, member = 'SS0000001', passengers = 1 } = {},
) {
  const { flights } = await query('{ flights(first: 100) { edges { node { id seatsAvailable } } } }');
  // Other stories book at the same server, some of them dozens of seats at once.
  const { node: flight } = flights.edges.findLast((/** @type {any} */ { node }) => node.seatsAvailable >= ROOMY_SEATS);
  const input = {
    ...(correlationId && { correlationId }),
    segments: [{ flightId: flight.id }],
    passengers: Array.from({ length: passengers }, (_, index) => ({
      givenName: 'Ada',
      familyName: `Lovelace ${index}`,
    })),
    loyalty: { memberNumber: member, pointsToRedeem: points },
    simulate,
  };
  const { bookFlight } = await query(
    `mutation Book($input: BookFlightInput!) {
      bookFlight(input: $input) {
        saga { correlationId }
        errors { ... on UserError { message } }
      }
    }`,
    { input },
  );
  if (bookFlight.saga === null) throw new Error(JSON.stringify(bookFlight.errors));
  return bookFlight.saga.correlationId;
}
