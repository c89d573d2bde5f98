"""Seats and their owners: a seat of a flight is sold once, also after crashes and races.

A saga *holds* seats, then confirms or releases them; if it does neither in time, they expire.
A hold is a row of seat_reservations; the seat's own status follows it::

    reservation                                        its seat
                                                       AVAILABLE
    hold()     -> HELD --- confirm() -> CONFIRMED      HELD, then BOOKED
                  |  |                      |
         expire() |  | release()            | cancel()
                  v  v                      v
             EXPIRED  RELEASED          RELEASED       AVAILABLE

**Batches.** Every function handles a batch of sagas (1 to 256) in a few statements, for any
size of the batch: read the free seats, decide in Python in the order in which the sagas came
(`allocation`), lock, write. One answer a saga, in their order; the caller owns the transaction.

**Decisions.** Seats are held first come, first served; a saga gets all its seats or none. `claim`
decides once whether a hold may still be confirmed, in the transaction that pins the saga. After
that `confirm` does not look at the clock, and the caller keeps pinned sagas from `expire`. So
exactly one of confirmation and expiry wins, and a lapsed hold never confirms, swept or not.

**Locks.** A transaction that changes a seat or its live reservation has locked both rows; on SQLite
it has the one write lock. The caller locks sagas before, and accounts after. No transaction waits
for a row: rows are locked in key order, and rows that others have locked are left out. The saga of
such a row is answered `Busy` and runs again. As no transaction waits, there is no deadlock. The
unique index causes no wait either, as a seat's second taker has already missed its lock.

**Time.** The clock is the database's. It is read after the lock and in a later statement: on
PostgreSQL a comparison within the locking statement may use a time before the lock. All holds of
a saga have one `expires_at`, never extended; the hold has lapsed when the clock has reached it. If
a flight closes before that moment, the hold ends at the closing, and `claim` checks again.

**Last defence.** If all this code were wrong, a partial unique index over live reservations would
still refuse a seat's second owner. Every change names its allowed old states and checks the row
count: a row that is not as its lock showed it rolls the whole transaction back (StorageError).
"""

from domain.seats.allocation import FlightWish, SeatWish
from domain.seats.availability import available_counts
from domain.seats.cabins import LETTERS, ROWS, SEATS, CabinClass, cabin_seats, cabins_of, seat_index, seat_number
from domain.seats.changes import SeatChanges
from domain.seats.confirmations import claim, confirm
from domain.seats.expiry import HoldTotals, begun_ahead, bring_back, expire, hold_totals, lapsed
from domain.seats.holds import hold
from domain.seats.model import (
    Claimed,
    Closed,
    Confirmed,
    Held,
    HeldSeat,
    Lapsed,
    NotHeld,
    Released,
    ReleasedSeat,
    Seat,
    SeatKey,
    SeatReservation,
    SeatUnavailable,
)
from domain.seats.queries import (
    ReservationQuery,
    claims_seat_on,
    reservations_by_ids,
    reservations_count,
    reservations_of,
    reservations_page,
    sagas_on,
    seat_map,
    seats_by_ids,
)
from domain.seats.releases import cancel, release
from domain.seats.seed import add_seats, remove_seats
from domain.seats.states import SeatReservationStatus, SeatStatus

__all__ = [
    "LETTERS",
    "ROWS",
    "SEATS",
    "CabinClass",
    "Claimed",
    "Closed",
    "Confirmed",
    "FlightWish",
    "Held",
    "HeldSeat",
    "HoldTotals",
    "Lapsed",
    "NotHeld",
    "Released",
    "ReleasedSeat",
    "ReservationQuery",
    "Seat",
    "SeatChanges",
    "SeatKey",
    "SeatReservation",
    "SeatReservationStatus",
    "SeatStatus",
    "SeatUnavailable",
    "SeatWish",
    "add_seats",
    "available_counts",
    "begun_ahead",
    "bring_back",
    "cabin_seats",
    "cabins_of",
    "cancel",
    "claim",
    "claims_seat_on",
    "confirm",
    "expire",
    "hold",
    "hold_totals",
    "lapsed",
    "release",
    "remove_seats",
    "reservations_by_ids",
    "reservations_count",
    "reservations_of",
    "reservations_page",
    "sagas_on",
    "seat_index",
    "seat_map",
    "seat_number",
    "seats_by_ids",
]
