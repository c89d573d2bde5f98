import { graphql } from './generated';
import type { SeatViewFragment } from './generated/graphql';

export const SeatView = graphql(`
  fragment SeatView on Seat {
    id
    number
    row
    letter
    cabinClasses
    status
    holdExpiresAt
  }
`);

export const SeatChanges = graphql(`
  subscription SeatChanges($flightId: ID!) {
    seatChanges(flightId: $flightId) {
      ...SeatView
    }
  }
`);

export type Seat = SeatViewFragment;
