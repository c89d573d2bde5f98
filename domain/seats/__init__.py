"""Seats, and who may have them: a seat of a flight is sold once, whatever happens.

A saga *holds* seats, then confirms or releases them; where it does neither in time, they
expire. A hold is a row of seat_reservations; the seat's own status follows it::

    reservation                                        its seat
                                                       AVAILABLE
    hold()     -> HELD --- confirm() -> CONFIRMED      HELD, then BOOKED
                  |  |                      |
         expire() |  | release()            | cancel()
                  v  v                      v
             EXPIRED  RELEASED          RELEASED       AVAILABLE

**Everything is done for a batch of sagas** (1 to 256) in a handful of statements, however many
they are: read what is free, decide in Python in the order in which the sagas came
(`allocation`), lock, write. One answer a saga, in their order; the caller owns the transaction.

**Who decides.** Seats are held first come, first served, all that a saga asks for or nothing.
Whether a hold may still be confirmed is decided once, by `claim`, in the transaction that pins
the saga; after that `confirm` does not look at the clock, and the caller keeps pinned sagas
from `expire`. So of a confirmation and an expiry exactly one wins, and a hold that has lapsed
never confirms, swept or not.

**Locks.** Whoever changes a seat or its live reservation has locked both rows, or on SQLite
has the one write lock. The caller locks sagas before, and accounts after. No row is ever
waited for: rows are locked in key order, those that others have are left out, and the saga
they belong to is answered `Busy` and run again. As nobody waits, nobody deadlocks. Nor does
the unique index make anyone wait, as a seat's second taker has already missed its lock.

**Time.** The clock is the database's, read after the lock and in a later statement: on
PostgreSQL a comparison within the locking statement may be older than the lock. All holds of
a saga have one `expires_at`, never extended; it has lapsed when the clock has reached it. Where
seats are sold until a moment that comes before that, the hold ends then, and `claim` asks again.

**If all this were wrong**, a partial unique index over live reservations would still refuse a
seat's second owner; and every change names the states it may come from and is counted, so
that a row which is not as its lock showed it undoes the whole transaction (StorageError).
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
    reservations_by_ids,
    reservations_count,
    reservations_of,
    reservations_page,
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
    "seat_index",
    "seat_map",
    "seat_number",
    "seats_by_ids",
]
