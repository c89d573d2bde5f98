/** The generated types must refuse these lines: compiling fails if one passes. Nothing here runs. */

import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BookFlightInput } from './generated/graphql.js';
import { BookFlight, Sagas, type SagaEvent } from './operations.js';

declare function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Data;

const segments = [{ flightId: 'RmxpZ2h0OjE' }];
const passengers = [{ givenName: 'Ada', familyName: 'Lovelace' }];

export const fits: BookFlightInput = {
  correlationId: '6f6f2a64-7c1c-4c43-9d4c-0b0f5c4e7d11',
  segments,
  passengers,
  expectedTotal: { amount: '118.00', currency: 'USD' },
};

// @ts-expect-error A Decimal is text: a float would lose cents.
export const floats: BookFlightInput = { ...fits, expectedTotal: { amount: 118.0, currency: 'USD' } };

// @ts-expect-error A UUID is text.
export const numbered: BookFlightInput = { ...fits, correlationId: 7 };

// @ts-expect-error There is no such cabin.
export const upgraded: BookFlightInput = { ...fits, segments: [{ ...segments[0]!, cabinClass: 'PENTHOUSE' }] };

// @ts-expect-error Passengers are required.
ask(BookFlight, { input: { segments } });

// @ts-expect-error The length of a page is required.
ask(Sagas, {});

// @ts-expect-error `sagas` has no such field.
ask(Sagas, { first: 20 }).sagas.total;

// @ts-expect-error A saga may be missing: then there are errors.
ask(BookFlight, { input: fits }).bookFlight?.saga.correlationId;

// @ts-expect-error There is no such event.
export const landed = (event: SagaEvent): boolean => event.type === 'PLANE_LANDED';
