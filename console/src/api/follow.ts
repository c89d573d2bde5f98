import { useState } from 'react';
import { learnServerInstant, serverNow } from './clock';
import { cameInMeanwhile, connection } from './connection';
import type { SagaFilter } from './generated/graphql';
import { type LiveState, useLive } from './live';
import {
  type Saga,
  type SagaChange,
  SagaChanges,
  type SagaEvent,
  SagaEvents,
  SagaNow,
  type SagaOnLine,
  SagaRowChanges,
} from './saga.graphql';
import { type Seat, SeatChanges } from './seats.graphql';

/** A saga's events from its first on, in order, each once. */
export interface Followed extends LiveState {
  readonly events: readonly SagaEvent[];
}

/** Follow a saga's log; a lost connection is resumed after the last event that came. Null: none. */
export function useSagaEvents(correlationId: string | null): Followed {
  const [events, setEvents] = useState<readonly SagaEvent[]>([]);
  const take = ({ sagaEvents: event }: { sagaEvents: SagaEvent }): void => {
    learnServerInstant(event.at);
    countIfMissed(event);
    setEvents((before) => [...before, event]);
  };
  const variables = correlationId === null ? null : { correlationId, after: 0 };
  return { events, ...useLive(SagaEvents, variables, take, () => setEvents([])) };
}

/** Follow a saga as it stands. Null while it has not come, and for null. */
export function useSaga(correlationId: string | null): LiveState & { readonly saga: Saga | null } {
  const [saga, setSaga] = useState<Saga | null>(null);
  const state = useLive(
    SagaNow,
    correlationId === null ? null : { correlationId },
    (data) => setSaga((before) => (before !== null && isOlder(data.saga, before) ? before : data.saga)),
    () => setSaga(null),
  );
  return { saga, ...state };
}

function isOlder(saga: Saga, before: Saga): boolean {
  return saga.correlationId === before.correlationId && saga.sequence < before.sequence;
}

/** Operator: which sagas change, about once a second, and whether each is one of `filter`. Null: none. */
export function useSagaChanges(
  filter: SagaFilter | null,
  onChanges: (changes: readonly SagaChange[]) => void,
): LiveState {
  return useLive(SagaChanges, filter && { filter }, (data) => onChanges(data.sagaChanges));
}

/** Operator: these sagas as they stand, and again whenever they change. */
export function useSagasNow(of: readonly string[], onSagas: (sagas: readonly SagaOnLine[]) => void): LiveState {
  const variables = of.length === 0 ? null : { of: [...of] };
  return useLive(SagaRowChanges, variables, (data) => onSagas(data.sagaChanges.map(({ saga }) => saga)));
}

/** All 162 seats of a flight by number, live; empty until they have come. */
export function useSeats(flightId: string | null): LiveState & { readonly seats: ReadonlyMap<string, Seat> } {
  const [seats, setSeats] = useState<ReadonlyMap<string, Seat>>(new Map());
  const state = useLive(
    SeatChanges,
    flightId === null ? null : { flightId },
    (data) =>
      setSeats((before) => new Map([...before, ...data.seatChanges.map((seat) => [seat.number, seat] as const)])),
    () => setSeats(new Map()),
  );
  return { seats, ...state };
}

/** For "4 events came in meanwhile": those that happened between the loss of the connection and its return. */
function countIfMissed(event: SagaEvent): void {
  const now = connection.get();
  if (now.status !== 'live' || now.lostAt === null || now.resumedAt === null) return;
  const toServer = serverNow() - Date.now();
  const at = Date.parse(event.at);
  if (at >= now.lostAt + toServer && at <= now.resumedAt + toServer) cameInMeanwhile.set(cameInMeanwhile.get() + 1);
}
