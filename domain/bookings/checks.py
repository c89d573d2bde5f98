"""Everything side by side: sagas with their seats, payments, miles, bookings and logs, and with the provider's books.

Ours is read in one read transaction, so that a running server changes nothing in between. The
provider's books are read after it has begun: what they say of a saga that was over by then
can only change by a cancellation that has begun since, and that is looked up before anything
is said. Sagas that were still active are not compared with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings.contexts import BookingContext
from domain.bookings.model import BookingStatus, DefinitionName
from domain.bookings.records import bookings_by_cancellations, bookings_of_sagas
from domain.bookings.tables import bookings, passengers
from domain.checks import Finding, Listing, Slice, within
from domain.clock import SECOND
from domain.events.checks import streams
from domain.loyalty.checks import SagaPoints, check_accounts, points_of_sagas
from domain.money import Money
from domain.payments import PaymentStatus, ProviderState
from domain.payments.checks import RecordedPayment, check_payments, known_references, payments_within
from domain.payments.sandbox import Entry
from domain.payments.sandbox.reading import BooksReader
from domain.saga import SagaStatus, list_replicas
from domain.saga.checks import (
    LogFindings,
    SagaFacts,
    check_sagas,
    facts_within,
    given_up,
    list_stuck,
    slices,
    statuses,
)
from domain.seats import SeatReservationStatus, seat_number
from domain.seats.checks import LiveReservation, check_seats, live_reservations
from domain.storage import Database

__all__ = ["SANDBOX", "Examination", "Sweep", "examine"]

#: As payments name the provider whose books can be read.
SANDBOX: Final = "sandbox"
#: A sweep that is due takes its time, too.
SWEEP_SECONDS_MAX: Final = 10.0
_BOOKING_SAGAS: Final = frozenset({DefinitionName.BOOK_AND_EARN.value, DefinitionName.BOOK_AND_REDEEM.value})

_b = bookings.c
_BOOKINGS: Final = select(
    _b.saga_id,
    _b.id,
    _b.reference,
    _b.status,
    _b.cancellation_id,
    _b.total_minor,
    _b.currency,
    _b.miles_awarded,
    _b.points_redeemed,
).where(within(_b.saga_id))
_PASSENGERS: Final = (
    select(passengers.c.saga_id, func.count()).where(within(passengers.c.saga_id)).group_by(passengers.c.saga_id)
)
_context = msgspec.json.Decoder(BookingContext)


@dataclass(frozen=True, slots=True)
class Sweep:
    """How lapsed holds are swept: at this interval, unless somebody has paused it."""

    interval_seconds: float
    paused_by: str | None = None


@dataclass(slots=True)
class Examination:
    """What all checks came to."""

    sagas: int = 0
    replicas: int = 0
    """How many processes serve the database."""
    findings: list[Finding] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """What was not looked at, and why."""

    @property
    def is_clean(self) -> bool:
        """Whether every rule holds."""
        return not any(finding.violations for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Booking:
    """What is compared of a booking."""

    id: str
    reference: str
    status: BookingStatus
    cancellation_id: str | None
    total: Money
    miles_awarded: int
    points_redeemed: int


@dataclass(slots=True)
class _Case:
    """All that is known under one saga's id, by any feature."""

    id: str
    saga: SagaFacts | None = None
    context: BookingContext | None = None
    """Of a saga that books, and whose context can be read."""
    booking: _Booking | None = None
    cancellation: SagaStatus | None = None
    """Of the saga that cancels the booking, where there is one."""
    payment: RecordedPayment | None = None
    reservations: Sequence[LiveReservation] = ()
    points: SagaPoints = field(default_factory=SagaPoints)
    passengers: int = 0

    @property
    def subject(self) -> str:
        return f"saga {self.saga.correlation_id if self.saga else self.id}"

    @property
    def status(self) -> SagaStatus | None:
        return self.saga.status if self.saga else None

    @property
    def is_over(self) -> bool:
        """Over as it should be; what an operator has abandoned is listed, and judged by nobody."""
        return self.status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED)

    @property
    def books(self) -> bool:
        return self.saga is not None and self.saga.definition in _BOOKING_SAGAS

    @property
    def is_given_up(self) -> bool:
        """Whether an operator has ended the booking's cancellation with effects left behind."""
        return self.cancellation is SagaStatus.ABANDONED

    def those(self, status: SeatReservationStatus) -> list[LiveReservation]:
        return [reservation for reservation in self.reservations if reservation.status is status]


async def examine(database: Database, *, books: BooksReader | None, sweep: Sweep) -> Examination:
    """Check all that should be so of `database`, and of the sandbox's `books` where they can be read.

    Reads only. The read transaction lasts as long as the examination, which keeps a SQLite file
    that is written meanwhile from checkpoints.
    """
    found = Examination()
    async with database.read() as connection:
        now = await database.clock.now(connection)
        found.replicas = sum(replica.lease_until > now for replica in await list_replicas(connection))
        found.findings += await check_seats(connection)
        found.findings += await check_accounts(connection)
        found.findings += await check_payments(connection)
        found.findings += await check_sagas(connection)
        found.listings.append(await list_stuck(connection))
        comparison = _Comparison(found, now, sweep, _Provider(database, books) if books else None)
        async for part in slices(connection):
            await comparison.compare(connection, part)
    await comparison.conclude()
    return found


class _Comparison:
    """Goes through the sagas slice by slice, and applies every rule to each."""

    def __init__(self, found: Examination, now: int, sweep: Sweep, provider: _Provider | None) -> None:
        self._found = found
        self._now = now
        self._sweep = sweep
        self._provider = provider
        self._rules = [(Finding(check, holds), rule) for check, holds, rule in _RULES]
        self._logs = LogFindings()
        self._holds = Finding("hold-time", "No hold is older than its time, but for pinned ones and those just lapsed.")
        self._cancellations = Finding("cancellations", "Every completed cancellation is that of some booking.")
        self._waiting = Listing("LAPSED", self._why_lapsed())
        self._abandoned = Listing("ABANDONED", "were ended by an operator, with what is left behind on the record")
        found.findings += [finding for finding, _ in self._rules]
        found.findings += [self._cancellations, self._holds, self._logs.numbered, self._logs.agrees]
        found.listings += [self._waiting, self._abandoned]
        if provider is None:
            found.skipped.append(("provider-*", "only the sandbox's books can be read"))
        else:
            found.findings += [provider.agrees, provider.known]

    async def compare(self, connection: AsyncConnection, part: Slice) -> None:
        """Everything about the sagas of one slice."""
        facts = await facts_within(connection, part)
        self._found.sagas += len(facts)
        self._logs.compare(facts, await streams(connection, part))
        cases = await _gather(connection, part, facts)
        for case in cases:
            for finding, rule in self._rules:
                for detail in rule(case):
                    finding.add(case.subject, detail)
            self._judge_holds(case)
        await self._check_cancellations(connection, facts)
        await self._list_abandoned(connection, cases)
        if self._provider is not None:
            await self._provider.compare(cases)

    async def conclude(self) -> None:
        """What can only be asked once our read transaction is over."""
        if self._provider is not None:
            await self._provider.conclude()

    def _why_lapsed(self) -> str:
        if self._found.replicas == 0:
            return "hold seats for longer than they may; the next start releases them, as nothing serves now"
        return f"hold seats for longer than they may, as {self._sweep.paused_by} has paused the sweep"

    def _judge_holds(self, case: _Case) -> None:
        """A hold that has lapsed is the sweep's, at the latest an interval later. The pin alone outlives it."""
        held = case.those(SeatReservationStatus.HELD)
        if not held or case.saga is None or case.is_over or case.saga.is_pinned:
            return
        lapsed_us = self._now - min(reservation.expires_at for reservation in held)
        detail = f"{_seats(held)} held {lapsed_us // SECOND} s beyond {'their' if len(held) > 1 else 'its'} time"
        if self._found.replicas == 0 or self._sweep.paused_by is not None:
            if lapsed_us > 0:
                self._waiting.add(case.subject, detail)
        elif lapsed_us > (self._sweep.interval_seconds + SWEEP_SECONDS_MAX) * SECOND:
            self._holds.add(case.subject, detail)

    async def _check_cancellations(self, connection: AsyncConnection, facts: Mapping[str, SagaFacts]) -> None:
        """What a completed cancellation has cancelled names it; the booking's side of that is a rule."""
        done = {
            saga_id: saga
            for saga_id, saga in facts.items()
            if saga.definition == DefinitionName.CANCEL_BOOKING.value and saga.status is SagaStatus.COMPLETED
        }
        if not done:
            return
        found = await bookings_by_cancellations(connection, list(done))
        for saga_id in done.keys() - found.keys():
            self._cancellations.add(f"saga {done[saga_id].correlation_id}", "it is COMPLETED, and is no booking's")

    async def _list_abandoned(self, connection: AsyncConnection, cases: Sequence[_Case]) -> None:
        ended = [case for case in cases if case.status is SagaStatus.ABANDONED]
        reasons = await given_up(connection, [case.id for case in ended])
        for case in ended:
            left = [reasons.get(case.id, "nothing was skipped")]
            left += [_seats(case.reservations) + " not released"] if case.reservations else []
            left += [f"{case.points.pending} miles pending"] if case.points.pending else []
            left += [f"{-case.points.points} points not returned"] if case.points.points < 0 else []
            if case.payment is not None and not case.payment.status.is_resolved:
                left.append(f"payment {case.payment.reference} is {case.payment.status.value}")
            self._abandoned.add(case.subject, "; ".join(left))


async def _gather(connection: AsyncConnection, part: Slice, facts: Mapping[str, SagaFacts]) -> list[_Case]:
    """What every feature knows under the ids of one slice, also where there is no such saga."""
    found = {
        row[0]: _Booking(row[1], row[2], BookingStatus(row[3]), row[4], Money(row[5], row[6]), row[7], row[8])
        for row in await connection.execute(_BOOKINGS, part.parameters)
    }
    people = {row[0]: row[1] for row in await connection.execute(_PASSENGERS, part.parameters)}
    payments = await payments_within(connection, part)
    reservations = await live_reservations(connection, part)
    points = await points_of_sagas(connection, part)
    cancellations = await statuses(
        connection, [item.cancellation_id for item in found.values() if item.cancellation_id]
    )
    cases = []
    for saga_id in sorted({*facts, *found, *people, *payments, *reservations, *points}):
        saga, booking = facts.get(saga_id), found.get(saga_id)
        cases.append(
            _Case(
                saga_id,
                saga,
                _read_context(saga),
                booking,
                cancellations.get(booking.cancellation_id) if booking and booking.cancellation_id else None,
                payments.get(saga_id),
                reservations.get(saga_id, ()),
                points.get(saga_id, SagaPoints()),
                people.get(saga_id, 0),
            )
        )
    return cases


def _read_context(saga: SagaFacts | None) -> BookingContext | None:
    if saga is None or saga.definition not in _BOOKING_SAGAS:
        return None
    try:
        return _context.decode(saga.context)
    except msgspec.DecodeError:
        return None


# ---------------------------------------------------------------- rules: each yields what is the matter with one case


def _belongs_to_a_saga(case: _Case) -> Iterator[str]:
    if case.saga is not None:
        if case.books and case.context is None:
            yield "its context cannot be read"
        return
    if case.booking:
        yield f"there is no such saga, and booking {case.booking.reference} is of it"
    if case.payment:
        yield f"there is no such saga, and payment {case.payment.id} ({case.payment.status.value}) is of it"
    if case.reservations:
        yield f"there is no such saga, and reservation {_ids(case.reservations)} is of it"
    if case.points != SagaPoints():
        yield f"there is no such saga, and it has moved {case.points.points} points, {case.points.pending} pending"


def _nothing_is_provisional(case: _Case) -> Iterator[str]:
    if not case.is_over:
        return
    assert case.status is not None
    held = case.those(SeatReservationStatus.HELD)
    if held:
        yield f"it is {case.status.value}, and holds {_seats(held)}: reservation {_ids(held)}"
    if case.points.pending:
        yield f"it is {case.status.value}, and {case.points.pending} miles of it are pending"
    if case.status is SagaStatus.COMPENSATED and case.points.points:
        yield f"it is COMPENSATED, and has left {case.points.points:+} points on its member's account"


def _booking_and_saga(case: _Case) -> Iterator[str]:
    booking, status = case.booking, case.status
    if booking is None:
        if case.books and status is SagaStatus.COMPLETED:
            yield "it is COMPLETED, and there is no booking of it"
        return
    if status is not None and status is not SagaStatus.COMPLETED:
        yield f"it is {status.value}, and booking {booking.reference} is of it"
    if case.context is not None:
        if booking.total != Money(case.context.total, case.context.currency):
            yield f"booking {booking.reference} is for {booking.total}, and the saga for {_total(case.context)}"
        if case.context.passengers != case.passengers:
            number = case.context.passengers
            yield f"booking {booking.reference} is for {number} passengers, and {case.passengers} are on record"
    cancellation = case.cancellation
    if booking.cancellation_id and cancellation is None:
        yield f"booking {booking.reference} names the cancellation {booking.cancellation_id}, and there is none"
    if cancellation not in _CANCELLATIONS[booking.status]:
        yield (
            f"booking {booking.reference} is {booking.status.value}, and its cancellation "
            f"{booking.cancellation_id or ''} is {cancellation.value if cancellation else 'none'}"
        )


#: Where a cancellation may be, by what it has made of the booking.
_CANCELLATIONS: Final[Mapping[BookingStatus, frozenset[SagaStatus | None]]] = {
    BookingStatus.CONFIRMED: frozenset(
        {None, SagaStatus.PENDING, SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.COMPENSATED}
    ),
    BookingStatus.CANCELLING: frozenset({SagaStatus.RUNNING, SagaStatus.STUCK, SagaStatus.ABANDONED}),
    BookingStatus.CANCELLED: frozenset({SagaStatus.COMPLETED, SagaStatus.ABANDONED}),
}


def _booking_and_seats(case: _Case) -> Iterator[str]:
    booking, confirmed = case.booking, case.those(SeatReservationStatus.CONFIRMED)
    if booking is None:
        if confirmed and case.saga is not None:
            yield f"there is no booking of it, and {_seats(confirmed)} confirmed: reservation {_ids(confirmed)}"
        return
    if booking.status is BookingStatus.CANCELLED:
        if confirmed and not case.is_given_up:
            yield (
                f"booking {booking.reference} is CANCELLED, and has {_seats(confirmed)}: reservation {_ids(confirmed)}"
            )
        return
    if case.context is None:
        return
    wanted = {
        (segment.flight_id, number, passenger)
        for number, segment in enumerate(case.context.segments)
        for passenger in range(case.context.passengers)
    }
    have = [(reservation.flight_id, reservation.segment, reservation.passenger) for reservation in confirmed]
    for flight_id, number, passenger in sorted(wanted - set(have)):
        yield (
            f"booking {booking.reference} is {booking.status.value}, and passenger {passenger} has no confirmed seat "
            f"on segment {number}, flight {flight_id}"
        )
    if len(have) > len(wanted) or set(have) - wanted:
        yield f"booking {booking.reference} has seats that it is not for: among reservation {_ids(confirmed)}"


def _booking_and_points(case: _Case) -> Iterator[str]:
    booking, context = case.booking, case.context
    if booking is None or context is None or case.saga is None:
        return
    earned = context.miles if context.member and case.saga.definition == DefinitionName.BOOK_AND_EARN.value else 0
    due = earned - context.points
    may_be = {
        BookingStatus.CONFIRMED: {due},
        BookingStatus.CANCELLING: {due, 0},
        BookingStatus.CANCELLED: {due, 0} if case.is_given_up else {0},
    }[booking.status]
    if case.points.points not in may_be:
        yield (
            f"booking {booking.reference} is {booking.status.value}, so that its member's account changes by "
            f"{' or '.join(f'{points:+}' for points in sorted(may_be))} points, and it has by {case.points.points:+}"
        )


def _payment_and_booking(case: _Case) -> Iterator[str]:
    payment, booking = case.payment, case.booking
    if case.saga is None:
        return
    if payment is not None and booking is None:
        if payment.status is PaymentStatus.CAPTURED:
            yield f"payment {payment.id} ({payment.reference}) is CAPTURED, and there is no booking for it"
        elif case.status is SagaStatus.COMPENSATED and not payment.status.is_resolved:
            yield f"it is COMPENSATED, and payment {payment.id} ({payment.reference}) is {payment.status.value}"
    if booking is None or case.context is None:
        return
    if case.context.payable == 0:
        if payment is not None:
            yield f"there was nothing to pay for booking {booking.reference}, and payment {payment.id} is of it"
        return
    if payment is None:
        yield f"booking {booking.reference} was to be paid with {_payable(case.context)}, and there is no payment"
        return
    if payment.amount != _payable(case.context):
        yield f"payment {payment.id} is for {payment.amount}, and {_payable(case.context)} was to be paid"
    if payment.status not in _paid(case):
        yield (
            f"booking {booking.reference} is {booking.status.value}, and payment {payment.id} ({payment.reference}) "
            f"is {payment.status.value}"
        )


def _paid(case: _Case) -> frozenset[PaymentStatus]:
    """What a booking's payment may be."""
    assert case.booking is not None
    match case.booking.status:
        case BookingStatus.CONFIRMED:
            return frozenset({PaymentStatus.CAPTURED})
        case BookingStatus.CANCELLED if not case.is_given_up:
            return frozenset({PaymentStatus.REFUNDED})
        case _:
            return frozenset({PaymentStatus.CAPTURED, PaymentStatus.REFUNDED})


_RULES: Final[Sequence[tuple[str, str, Callable[[_Case], Iterator[str]]]]] = (
    ("saga-known", "Every booking, payment, reservation and entry is of a saga that there is.", _belongs_to_a_saga),
    (
        "saga-settled",
        "No saga that is over holds seats or pending miles; none undone has moved points.",
        _nothing_is_provisional,
    ),
    (
        "booking-saga",
        "Every completed saga has its booking, and every booking its saga and cancellation.",
        _booking_and_saga,
    ),
    (
        "booking-seats",
        "Every booking has a seat for each passenger and segment, a cancelled one none.",
        _booking_and_seats,
    ),
    ("booking-points", "Every booking has moved the points it is for, a cancelled one none.", _booking_and_points),
    (
        "payment-booking",
        "Money is taken for bookings alone, and given back or untouched otherwise.",
        _payment_and_booking,
    ),
)


# ---------------------------------------------------------------- the provider


class _Provider:
    """The sandbox's books beside our payments."""

    def __init__(self, database: Database, books: BooksReader) -> None:
        self.agrees = Finding("provider-charges", "The provider has taken every booking's money once, and no other's.")
        self.known = Finding("provider-known", "The provider has no money that no payment of ours knows of.")
        self._database = database
        self._books = books
        self._given_back: list[tuple[_Case, Entry]] = []

    async def compare(self, cases: Sequence[_Case]) -> None:
        """Look at what the provider has of the payments of sagas that are over."""
        paid = {
            case.payment.reference: case
            for case in cases
            if case.is_over and case.payment and case.payment.reference and case.payment.provider == SANDBOX
        }
        entries = await self._books.entries(list(paid))
        for reference, case in paid.items():
            for detail in self._judge(case, reference, entries.get(reference)):
                self.agrees.add(case.subject, detail)

    async def conclude(self) -> None:
        """Judge what may have changed since our read transaction began, by what is so now."""
        await self._judge_given_back()
        await self._find_unknown()

    def _judge(self, case: _Case, reference: str, entry: Entry | None) -> Iterator[str]:
        state = entry.state if entry else ProviderState.ABSENT
        if case.booking is None:
            if state in _CHARGED:
                yield f"it is {case.status}, and {reference} is {state.value} at the provider"
            return
        if entry is None:
            yield f"booking {case.booking.reference} is paid by {reference}, of which the provider has not heard"
            return
        if entry.captures != 1:
            yield f"{reference} was captured {entry.captures} times, for booking {case.booking.reference}"
        if case.payment is not None and (entry.amount, entry.currency) != (
            case.payment.amount.minor,
            case.payment.amount.currency,
        ):
            yield f"{reference} is for {Money(entry.amount, entry.currency)} at the provider, not {case.payment.amount}"
        if case.booking.status is BookingStatus.CONFIRMED and state is ProviderState.REFUNDED:
            self._given_back.append((case, entry))
        elif state.value not in {status.value for status in _paid(case)}:
            yield f"booking {case.booking.reference} is {case.booking.status.value}, and {reference} is {state.value}"

    async def _judge_given_back(self) -> None:
        """Money given back for a confirmed booking: unless the booking's cancellation has begun meanwhile."""
        if not self._given_back:
            return
        async with self._database.read() as connection:
            now = await bookings_of_sagas(connection, [case.id for case, _ in self._given_back])
        for case, entry in self._given_back:
            booking = now.get(case.id)
            if booking is not None and booking.status is BookingStatus.CONFIRMED:
                self.agrees.add(
                    case.subject, f"booking {booking.reference} is CONFIRMED, and {entry.reference} is REFUNDED"
                )

    async def _find_unknown(self) -> None:
        """References are durable with us before any money moves: whatever the books have, we know by now."""
        after = ""
        while charged := await self._books.charged(after):
            async with self._database.read() as connection:
                known = await known_references(connection, charged)
            for reference in charged:
                if reference not in known:
                    self.known.add(f"reference {reference}", "the provider has money on it, and we have no payment")
            after = charged[-1]


_CHARGED: Final = frozenset({ProviderState.AUTHORIZED, ProviderState.CAPTURED})


# ---------------------------------------------------------------- words


def _seats(reservations: Sequence[LiveReservation]) -> str:
    names = ", ".join(f"{seat_number(item.seat)} of flight {item.flight_id}" for item in reservations)
    return f"seat{'s' if len(reservations) > 1 else ''} {names}"


def _ids(reservations: Sequence[LiveReservation]) -> str:
    return ", ".join(reservation.id for reservation in reservations)


def _total(context: BookingContext) -> Money:
    return Money(context.total, context.currency)


def _payable(context: BookingContext) -> Money:
    return Money(context.payable, context.currency)
