"""The bookings' own statements: writes and reads."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import flights, saga, seats
from domain.bookings.model import Booking, BookingStatus, Passenger
from domain.bookings.names import folded
from domain.bookings.tables import bookings, caller_seats, passengers
from domain.ids import new_id
from domain.money import Money
from domain.storage import AnyRow, BulkInsert, BulkUpdate, Query, any_of, is_known, page_of

__all__ = [
    "REFERENCE_ALPHABET",
    "REFERENCE_LENGTH",
    "BookingQuery",
    "BoughtSeats",
    "NewBooking",
    "add_bought",
    "add_passengers",
    "bookings_by_cancellations",
    "bookings_by_ids",
    "bookings_by_references",
    "bookings_count",
    "bookings_of_sagas",
    "bookings_page",
    "bought",
    "confirm",
    "lock",
    "move",
    "passengers_of",
    "readable_bookings",
    "set_cancellation",
]

#: Capitals and digits that are hard to confuse: no I, O, 0, 1.
REFERENCE_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
REFERENCE_LENGTH: Final = 6
PAGE_BOOKINGS_MAX: Final = 100

_b = bookings.c
_p = passengers.c
_c = caller_seats.c
_insert_bookings = BulkInsert(
    bookings,
    _b.id,
    _b.reference,
    _b.status,
    _b.subject,
    _b.saga_id,
    _b.total_minor,
    _b.currency,
    _b.miles_awarded,
    _b.points_redeemed,
    _b.created_at,
)
_insert_passengers = BulkInsert(
    passengers, _p.saga_id, _p.position, _p.given_name, _p.family_name, _p.date_of_birth, _p.family_folded
)
_move = {
    (old, new): BulkUpdate(bookings, key=(_b.id,), change=(_b.status,), guard=f"bookings.status = '{old.value}'")
    for old, new in (
        (BookingStatus.CONFIRMED, BookingStatus.CANCELLING),
        (BookingStatus.CANCELLING, BookingStatus.CANCELLED),
    )
}
_set_cancellation = BulkUpdate(bookings, key=(_b.id,), change=(_b.cancellation_id,))
_lock = Query(select(bookings).where(any_of(_b.id, "ids")).order_by(_b.id).with_for_update(skip_locked=True))
_known_references = Query(select(_b.reference).where(any_of(_b.reference, "references")))
_of_sagas = Query(select(bookings).where(any_of(_b.saga_id, "ids")))
_readable = Query(
    select(bookings).where(
        or_(any_of(_b.saga_id, "saga_ids"), any_of(_b.reference, "references")), is_known(_b.status, BookingStatus)
    )
)
_by_ids = Query(select(bookings).where(any_of(_b.id, "ids")))
_by_references = Query(select(bookings).where(any_of(_b.reference, "references")))
_by_cancellations = Query(select(bookings).where(any_of(_b.cancellation_id, "ids")))
_insert_bought = BulkInsert(caller_seats, _c.caller_flight, _c.saga_id, _c.seats, skip_existing=True)
_bought = Query(
    select(_c.caller_flight, _c.saga_id, _c.seats, _b.status, _b.created_at)
    .join_from(caller_seats, bookings, _b.saga_id == _c.saga_id)
    .where(
        any_of(_c.caller_flight, "keys"),
        or_(_b.status != BookingStatus.CANCELLED.value, _b.created_at > bindparam("since", type_=BigInteger)),
    )
)
_passengers = Query(select(passengers).where(any_of(_p.saga_id, "ids")).order_by(_p.saga_id, _p.position))


@dataclass(frozen=True, slots=True)
class NewBooking:
    """A booking to issue; amounts in minor units."""

    saga_id: str
    subject: str
    total: Money
    miles_awarded: int
    points_redeemed: int


@dataclass(frozen=True, slots=True)
class BookingQuery:
    """A filter for bookings; None or empty does not restrict.

    `is_upcoming`: whether the last flight departs after `at`, in microseconds.
    """

    subject: str | None = None
    statuses: Collection[BookingStatus] = ()
    is_upcoming: bool | None = None
    at: int = 0
    flight_id: int | None = None
    member_number: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL. A booking with a status of a newer release is left out."""
        found: list[ColumnElement[bool]] = [is_known(_b.status, BookingStatus)]
        if self.subject is not None:
            found.append(_b.subject == self.subject)
        if self.statuses:
            found.append(_b.status.in_(sorted(self.statuses)))
        if self.is_upcoming is not None:
            departs_later = seats.claims_seat_on(_b.saga_id, flights.departing_after(self.at))
            found.append(departs_later if self.is_upcoming else ~departs_later)
        if self.flight_id is not None:
            found.append(_b.saga_id.in_(seats.sagas_on(self.flight_id)))
        if self.member_number is not None:
            found.append(_b.saga_id.in_(saga.labelled(f"member:{self.member_number}")))
        return found


@dataclass(frozen=True, slots=True)
class BoughtSeats:
    """Seats of a flight in a booking of `subject`; they stop counting at `ends_at`, None while the booking stands."""

    subject: str
    flight_id: int
    saga_id: str
    seats: int
    ends_at: int | None


def draw_references(number: int) -> set[str]:
    """At most `number` references, all equally likely: 32 letters are five bits each."""
    random = secrets.token_bytes(number * REFERENCE_LENGTH)
    letters = "".join(REFERENCE_ALPHABET[byte & 31] for byte in random)
    return {letters[start : start + REFERENCE_LENGTH] for start in range(0, len(letters), REFERENCE_LENGTH)}


async def confirm(
    connection: AsyncConnection,
    new: Sequence[NewBooking],
    *,
    at: int,
    draw: Callable[[int], set[str]] = draw_references,
) -> list[str]:
    """Issue bookings and return their references, in order. A saga that already has a booking keeps it.

    `draw` proposes at most this many references; one that a booking already has is drawn again.
    """
    existing = await bookings_of_sagas(connection, [item.saga_id for item in new])
    missing = [item for item in new if item.saga_id not in existing]
    references = dict(
        zip((item.saga_id for item in missing), await _fresh(connection, len(missing), draw), strict=True)
    )
    await _insert_bookings(
        connection,
        [
            (
                new_id(),
                references[item.saga_id],
                BookingStatus.CONFIRMED.value,
                item.subject,
                item.saga_id,
                item.total.minor,
                item.total.currency,
                item.miles_awarded,
                item.points_redeemed,
                at,
            )
            for item in missing
        ],
    )
    return [existing[item.saga_id].reference if item.saga_id in existing else references[item.saga_id] for item in new]


async def _fresh(connection: AsyncConnection, number: int, draw: Callable[[int], set[str]]) -> list[str]:
    """This many unused references; if one gets used meanwhile, the unique constraint refuses it."""
    fresh: set[str] = set()
    while len(fresh) < number:
        drawn = draw(number - len(fresh))
        taken = await _known_references.column(connection, references=sorted(drawn))
        fresh |= drawn - set(taken)
    return sorted(fresh)


async def add_passengers(connection: AsyncConnection, people: Sequence[tuple[str, Sequence[Passenger]]]) -> None:
    """Write the passengers of new sagas: (saga id, passengers in order)."""
    await _insert_passengers(
        connection,
        [
            (
                saga_id,
                position,
                person.given_name,
                person.family_name,
                person.date_of_birth,
                folded(person.family_name),
            )
            for saga_id, party in people
            for position, person in enumerate(party)
        ],
    )


async def add_bought(connection: AsyncConnection, seats: Sequence[tuple[str, int, str, int]]) -> None:
    """Note new purchases of callers: (subject, flight ID, saga ID, seats)."""
    rows = [(_caller_flight(subject, flight_id), saga_id, number) for subject, flight_id, saga_id, number in seats]
    await _insert_bought(connection, rows)


async def bought(
    connection: AsyncConnection, callers: Iterable[tuple[str, int]], *, at: int, cancelled_kept_us: int
) -> list[BoughtSeats]:
    """The purchases of these (subject, flight ID) pairs: standing ones, and those cancelled that were made lately."""
    keys = {_caller_flight(*pair): pair for pair in callers}
    rows = await _bought(connection, keys=sorted(keys), since=at - cancelled_kept_us)
    return [
        BoughtSeats(
            *keys[row.caller_flight],
            row.saga_id,
            row.seats,
            row.created_at + cancelled_kept_us if row.status == BookingStatus.CANCELLED else None,
        )
        for row in rows
    ]


def _caller_flight(subject: str, flight_id: int) -> str:
    return f"{flight_id}:{subject}"


async def lock(connection: AsyncConnection, booking_ids: Sequence[str]) -> dict[str, Booking]:
    """Lock and read bookings; those that another transaction has locked are left out."""
    rows = await _lock(connection, ids=list(booking_ids))
    return {row.id: _booking(row) for row in rows}


async def move(connection: AsyncConnection, booking_ids: Sequence[str], old: BookingStatus, new: BookingStatus) -> int:
    """Move bookings from `old` to `new`; returns how many were in `old`."""
    return await _move[old, new](connection, [(booking_id, new.value) for booking_id in booking_ids])


async def set_cancellation(connection: AsyncConnection, pairs: Sequence[tuple[str, str]]) -> None:
    """Note which saga cancels a booking: (booking id, saga id). The caller has locked the bookings."""
    await _set_cancellation(connection, list(pairs))


async def passengers_of(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, tuple[Passenger, ...]]:
    """The passengers of each booking saga, in order."""
    found: dict[str, list[Passenger]] = {saga_id: [] for saga_id in saga_ids}
    for row in await _passengers(connection, ids=list(found)):
        found[row.saga_id].append(Passenger(row.given_name, row.family_name, row.date_of_birth))
    return {saga_id: tuple(people) for saga_id, people in found.items()}


async def bookings_of_sagas(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, Booking]:
    """The booking made by each of these sagas, by saga ID."""
    rows = await _of_sagas(connection, ids=list(saga_ids))
    return {row.saga_id: _booking(row) for row in rows}


async def readable_bookings(
    connection: AsyncConnection, *, saga_ids: Sequence[str] = (), references: Sequence[str] = ()
) -> dict[str, Booking]:
    """The bookings of these sagas or with these references, by saga ID; those that this release can read."""
    rows = await _readable(connection, saga_ids=list(saga_ids), references=list(references))
    return {row.saga_id: _booking(row) for row in rows}


async def bookings_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Booking]:
    """Bookings by id."""
    return {row.id: _booking(row) for row in await _by_ids(connection, ids=list(ids))}


async def bookings_by_references(connection: AsyncConnection, references: Sequence[str]) -> dict[str, Booking]:
    """Bookings by their six characters."""
    rows = await _by_references(connection, references=list(references))
    return {row.reference: _booking(row) for row in rows}


async def bookings_by_cancellations(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, Booking]:
    """The booking that each of these CANCEL_BOOKING sagas cancels, by saga id."""
    rows = await _by_cancellations(connection, ids=list(saga_ids))
    return {row.cancellation_id: _booking(row) for row in rows}


async def bookings_page(
    connection: AsyncConnection, query: BookingQuery, *, after: str | None, limit: int, reverse: bool = False
) -> list[Booking]:
    """The newest bookings below the ID `after`; at most `limit`, never more than 101. `reverse`: as `page_of`."""
    matching = select(bookings).where(*query.conditions())
    limit = min(limit, PAGE_BOOKINGS_MAX + 1)
    statement = page_of(matching, _b.id, after=after, limit=limit, descending=True, reverse=reverse)
    return [_booking(row) for row in await connection.execute(statement)]


async def bookings_count(connection: AsyncConnection, query: BookingQuery) -> int:
    """The number of bookings of a `bookings_page` without limit."""
    statement = select(func.count()).select_from(bookings).where(*query.conditions())
    return int((await connection.execute(statement)).scalar_one())


def _booking(row: AnyRow) -> Booking:
    return Booking(
        id=row.id,
        reference=row.reference,
        status=BookingStatus(row.status),
        subject=row.subject,
        saga_id=row.saga_id,
        cancellation_id=row.cancellation_id,
        total=Money(row.total_minor, row.currency),
        miles_awarded=row.miles_awarded,
        points_redeemed=row.points_redeemed,
        created_at=row.created_at,
    )
