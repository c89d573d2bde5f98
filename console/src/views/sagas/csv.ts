import type { RowSaga } from '../../api/sagas.graphql';

const COLUMNS: readonly (readonly [string, (saga: RowSaga) => string | null | undefined])[] = [
  ['correlationId', (saga) => saga.correlationId],
  ['status', (saga) => saga.status],
  ['definition', (saga) => saga.definition],
  ['startedAt', (saga) => saga.startedAt],
  ['finishedAt', (saga) => saga.finishedAt],
  ['stuckSince', (saga) => saga.stuckSince],
  ['failureCode', (saga) => saga.failure?.code],
  ['failureStep', (saga) => saga.failure?.step],
  ['failureMessage', (saga) => saga.failure?.message],
  [
    'flights',
    (saga) =>
      saga.flights.map(({ number, origin, destination }) => `${number} ${origin.code} ${destination.code}`).join('; '),
  ],
  ['passengers', (saga) => saga.passengers.map(({ familyName }) => familyName).join('; ')],
  ['booking', (saga) => saga.booking?.reference],
];

/**
 * RFC 4180: one line a saga, with a head; lines end with CR LF. The mark of UTF-8 stands first: without it Excel reads
 * the letters of García as another encoding's.
 */
export function csvOf(sagas: readonly RowSaga[]): string {
  const lines = sagas.map((saga) => COLUMNS.map(([, of]) => cell(of(saga) ?? '')));
  return `\ufeff${[COLUMNS.map(([name]) => name), ...lines].map((line) => `${line.join(',')}\r\n`).join('')}`;
}

/** One JSON object a line, as the API gave it. */
export function jsonLinesOf(sagas: readonly RowSaga[]): string {
  return sagas.map((saga) => `${JSON.stringify(saga)}\n`).join('');
}

/** A spreadsheet would run a cell that begins like a formula: an apostrophe makes it a text. */
export function cell(value: string): string {
  const text = /^\s*[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
