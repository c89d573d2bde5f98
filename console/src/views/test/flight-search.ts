import { useCallback, useMemo } from 'react';
import { useQuery } from 'urql';
import { type Refusal, refusalOfError } from './refusal';
import type { Setup } from './setup';
import { type Offer, SearchTrips } from './test.graphql';

export interface Found {
  readonly outbound: readonly Offer[];
  readonly inbound: readonly Offer[];
  /** The flights that are chosen, in travel order; short of one where there is none. */
  readonly chosen: readonly Offer[];
  readonly isLoading: boolean;
  /** Why there is no answer. */
  readonly trouble: Refusal | null;
  again(): void;
}

const NONE: readonly Offer[] = [];

/** Flights for the trip of the form, searched for as it changes; the number in the form is chosen, else the first. */
export function useFlightSearch(setup: Setup): Found {
  const { trip, from, to, on, back, cabin, people } = setup;
  const isRound = trip === 'ROUND_TRIP';
  const isWhole = from !== null && to !== null && on !== null && (!isRound || back !== null);
  const input = useMemo(
    () => ({
      tripType: trip,
      origin: from ?? '',
      destination: to ?? '',
      departsOn: on ?? '',
      returnsOn: isRound ? back : null,
      passengers: people.length,
      cabinClass: cabin,
    }),
    [trip, from, to, on, isRound, back, people.length, cabin],
  );
  const [{ data, error, fetching }, again] = useQuery({
    query: SearchTrips,
    variables: useMemo(() => ({ input }), [input]),
    pause: !isWhole,
    requestPolicy: 'cache-and-network',
  });
  const outbound = error || !isWhole ? NONE : (data?.searchTrips.outbound ?? NONE);
  const inbound = error || !isWhole || !isRound ? NONE : (data?.searchTrips.inbound ?? NONE);
  const chosen = useMemo(() => {
    const there = pick(outbound, setup.flight);
    const home = isRound
      ? pick(
          inbound.filter((flight) => isAfter(flight, there)),
          setup.flightBack,
        )
      : null;
    return [there, home].filter((flight) => flight !== null);
  }, [outbound, inbound, isRound, setup.flight, setup.flightBack]);
  return {
    outbound,
    inbound,
    chosen,
    isLoading: !isWhole || (fetching && data === undefined),
    trouble: useMemo(() => (error ? refusalOfError(error, Date.now()) : null), [error]),
    again: useCallback(() => again({ requestPolicy: 'network-only' }), [again]),
  };
}

function pick(flights: readonly Offer[], number: string | null): Offer | null {
  return flights.find((flight) => flight.number === number) ?? flights[0] ?? null;
}

function isAfter(flight: Offer, before: Offer | null): boolean {
  return before === null || flight.departsAt > before.arrivesAt;
}
