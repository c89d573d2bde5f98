"""The whole audit: sagas with their seats, payments, miles, bookings and logs, and with the provider's books.

Our data is read in one read transaction, so that a running server changes nothing in between. The
provider's books are read after that transaction has begun. If a saga was over by then, only a
cancellation that began later can change its entry in the books, and that is looked up before anything
is reported. Sagas that were still active are not compared with the books.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.bulk import check_bulk_actions
from domain.audit.events import saga_logs
from domain.audit.findings import Finding, Listing, Slice, within
from domain.audit.loyalty import SagaPoints, check_accounts, points_of_sagas
from domain.audit.payments import check_payments, payments_within
from domain.audit.provider import ProviderFindings
from domain.audit.rules import BOOKING_SAGAS, RULES, Dossier, RecordedBooking, name_seats
from domain.audit.saga import (
    LogFindings,
    RecordedSaga,
    check_sagas,
    given_up,
    list_parked,
    list_stuck,
    sagas_within,
    settled,
    slices,
    statuses,
)
from domain.audit.seats import check_seats, live_reservations
from domain.audit.values import check_values
from domain.bookings import BookingContext, BookingStatus, DefinitionName, bookings_by_cancellations
from domain.bookings.tables import bookings, passengers
from domain.clock import SECOND
from domain.money import Money
from domain.payments import ProviderBooks
from domain.saga import SagaStatus, list_replicas
from domain.seats import SeatReservationStatus
from domain.storage import Database, is_known

__all__ = ["Examination", "SweepSchedule", "examine"]

#: A sweep that is due takes time, too.
SWEEP_SECONDS_MAX: Final = 10.0

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
).where(within(_b.saga_id), is_known(_b.status, BookingStatus))
_PASSENGERS: Final = (
    select(passengers.c.saga_id, func.count()).where(within(passengers.c.saga_id)).group_by(passengers.c.saga_id)
)
_context = msgspec.json.Decoder(BookingContext)


@dataclass(frozen=True, slots=True)
class SweepSchedule:
    """How lapsed holds are swept: at this interval, unless an operator has paused it."""

    interval_seconds: float
    paused_by: str | None = None


@dataclass(slots=True)
class Examination:
    """The results of all checks."""

    sagas: int = 0
    replicas: int = 0
    """The number of processes that serve the database."""
    findings: list[Finding] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """The parts that were not checked, and the reasons."""

    _completed: Finding = field(default_factory=lambda: Finding("completed", "Every check could be completed."))

    def __post_init__(self) -> None:
        self.findings.append(self._completed)

    @contextmanager
    def goes_on(self, subject: str) -> Iterator[None]:
        """Record that the check of `subject` met an unreadable value; the other checks continue."""
        try:
            yield
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            self._completed.add(subject, f"not checked to the end: {type(error).__name__}: {error}")

    @property
    def is_clean(self) -> bool:
        """Whether no rule is violated."""
        return not any(finding.violations for finding in self.findings)


async def examine(database: Database, *, books: ProviderBooks | None, sweep: SweepSchedule) -> Examination:
    """Check all rules on `database`, and on the provider's `books` if they can be read.

    Reads only. The read transaction lasts for the whole examination; meanwhile a SQLite file that is
    written to cannot be checkpointed.
    """
    found = Examination()
    provider = ProviderFindings(database, books) if books is not None else None
    async with database.reading() as connection:
        now = await database.clock.now(connection)
        found.replicas = sum(replica.is_alive(now) for replica in await list_replicas(connection, now))
        for check in (check_values, check_seats, check_accounts, check_payments, check_sagas, check_bulk_actions):
            with found.goes_on(check.__name__.removeprefix("check_")):
                found.findings += await check(connection)
        for listing in (list_stuck, list_parked):
            with found.goes_on(listing.__name__.removeprefix("list_")):
                found.listings.append(await listing(connection))
        comparison = _Comparison(found, now, sweep, provider)
        async for part in slices(connection):
            with found.goes_on(f"sagas above {part.after}, up to {part.upto}"):
                await comparison.compare(connection, part)
    if provider is not None:
        await provider.find_unknown()
    return found


class _Comparison:
    """Goes through the sagas slice by slice, and applies every rule to each."""

    def __init__(self, found: Examination, now: int, sweep: SweepSchedule, provider: ProviderFindings | None) -> None:
        self._found = found
        self._now = now
        self._sweep = sweep
        self._provider = provider
        self._rules = [(Finding(check, holds), rule) for check, holds, rule in RULES]
        self._logs = LogFindings()
        self._holds = Finding("hold-time", "No hold is past its time, except pinned ones and those just lapsed.")
        self._cancellations = Finding("cancellations", "Every completed cancellation belongs to a booking.")
        self._unswept = _why_unswept(found, sweep)
        self._lapsed = Listing("LAPSED", f"sagas that hold seats for longer than they may; {self._unswept}")
        self._abandoned = Listing(
            "ABANDONED", "sagas that an operator has ended, with effects left behind on the record"
        )
        found.findings += [finding for finding, _ in self._rules]
        found.findings += [self._cancellations, self._holds, self._logs.numbered, self._logs.agrees]
        found.listings += [self._lapsed, self._abandoned]
        if provider is None:
            found.skipped.append(("provider-*", "the provider was not asked; seatsaga doctor --provider does"))
        else:
            found.findings += [provider.agrees, provider.known]

    async def compare(self, connection: AsyncConnection, part: Slice) -> None:
        """Check the sagas of one slice."""
        sagas = await sagas_within(connection, part)
        self._found.sagas += len(sagas)
        self._logs.compare(sagas, await saga_logs(connection, part))
        dossiers = await _gather(connection, part, sagas)
        for dossier in dossiers:
            for finding, rule in self._rules:
                for detail in rule(dossier):
                    finding.add(dossier.subject, detail)
            self._judge_holds(dossier)
        await self._check_cancellations(connection, sagas)
        await self._list_abandoned(connection, dossiers)
        if self._provider is not None:
            await self._provider.compare(dossiers)

    def _judge_holds(self, dossier: Dossier) -> None:
        """Check lapsed holds: the sweep must end them within one interval. Only the pin outlives the hold."""
        held = dossier.those(SeatReservationStatus.HELD)
        if not held or dossier.saga is None or dossier.is_over or dossier.saga.is_pinned:
            return
        lapsed_us = self._now - min(reservation.expires_at for reservation in held)
        detail = f"{name_seats(held)} held {lapsed_us // SECOND} s beyond {'their' if len(held) > 1 else 'its'} time"
        if self._unswept is not None:
            if lapsed_us >= 0:
                self._lapsed.add(dossier.subject, detail)
        elif lapsed_us > (self._sweep.interval_seconds + SWEEP_SECONDS_MAX) * SECOND:
            self._holds.add(dossier.subject, detail)

    async def _check_cancellations(self, connection: AsyncConnection, sagas: Mapping[str, RecordedSaga]) -> None:
        """Check that a booking's completed cancellation names it; a rule checks the booking's side."""
        done = {
            saga_id: saga
            for saga_id, saga in sagas.items()
            if saga.definition == DefinitionName.CANCEL_BOOKING.value and saga.status is SagaStatus.COMPLETED
        }
        if not done:
            return
        found = await bookings_by_cancellations(connection, list(done))
        for saga_id in done.keys() - found.keys():
            self._cancellations.add(f"saga {done[saga_id].correlation_id}", "it is COMPLETED, and has no booking")

    async def _list_abandoned(self, connection: AsyncConnection, dossiers: Sequence[Dossier]) -> None:
        ended = {dossier.id: dossier for dossier in dossiers if dossier.status is SagaStatus.ABANDONED}
        for saga_id in await settled(connection, list(ended)):
            del ended[saga_id]
        if not ended:
            return
        reasons = await given_up(connection, list(ended))
        cancelled = await bookings_by_cancellations(connection, list(ended))
        for saga_id, dossier in ended.items():
            left = [reasons.get(saga_id, "nothing was skipped")]
            if saga_id in cancelled:
                left.append(f"booking {cancelled[saga_id].reference} is {cancelled[saga_id].status.value}")
            self._abandoned.add(dossier.subject, "; ".join(left + _left_behind(dossier)))


def _why_unswept(found: Examination, sweep: SweepSchedule) -> str | None:
    """Why lapsed holds remain for now; None if they should not."""
    if found.replicas == 0:
        return "nothing serves the database now, and the next start releases them"
    return f"{sweep.paused_by} has paused their release" if sweep.paused_by is not None else None


def _left_behind(dossier: Dossier) -> list[str]:
    """The effects that an abandoned saga has not undone."""
    left = [f"{name_seats(dossier.reservations)} not released"] if dossier.reservations else []
    left += [f"{dossier.points.pending} miles pending"] if dossier.points.pending else []
    left += [f"{-dossier.points.points} points not returned"] if dossier.points.points < 0 else []
    if dossier.payment is not None and not dossier.payment.status.is_resolved:
        left.append(f"payment {dossier.payment.reference} is {dossier.payment.status.value}")
    return left


async def _gather(connection: AsyncConnection, part: Slice, sagas: Mapping[str, RecordedSaga]) -> list[Dossier]:
    """All features' data under the IDs of one slice, also for IDs without a saga."""
    found = {
        row[0]: RecordedBooking(row[1], row[2], BookingStatus(row[3]), row[4], Money(row[5], row[6]), row[7], row[8])
        for row in await connection.execute(_BOOKINGS, part.parameters)
    }
    people = {row[0]: row[1] for row in await connection.execute(_PASSENGERS, part.parameters)}
    payments = await payments_within(connection, part)
    reservations = await live_reservations(connection, part)
    points = await points_of_sagas(connection, part)
    cancellations = await statuses(
        connection, [item.cancellation_id for item in found.values() if item.cancellation_id]
    )
    dossiers = []
    for saga_id in sorted({*sagas, *found, *people, *payments, *reservations, *points}):
        saga, booking = sagas.get(saga_id), found.get(saga_id)
        dossiers.append(
            Dossier(
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
    return dossiers


def _read_context(saga: RecordedSaga | None) -> BookingContext | None:
    if saga is None or saga.definition not in BOOKING_SAGAS:
        return None
    try:
        return _context.decode(saga.context)
    except msgspec.DecodeError:
        return None
