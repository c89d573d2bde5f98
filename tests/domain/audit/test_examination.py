"""What `seatsaga doctor` looks at: nothing is found where all is well, and what is broken on purpose is named."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.engine import URL

from domain import events
from domain.audit import Examination, SweepSchedule, examine
from domain.audit.findings import NAMED_MAX, Listing, Violation
from domain.bookings import SegmentWish
from domain.clock import SECOND, ManualClock, wall_now
from domain.payments import ProviderEntry
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import CabinClass, seat_index
from domain.storage import Database, Server
from sandbox import Fault, FaultKind
from sandbox.reading import BooksReader, reading
from tests.domain.bookings.world import JANE, JOHN, World, world_of
from tests.support.asking import A_CUSTOMER, AN_OPERATOR
from tests.support.databases import administer, as_text
from tests.support.sequences import EARN, REDEEM, steps_of
from tests.support.waiting import eventually

SWEEP = SweepSchedule(interval_seconds=30)
NOBODY = "01900000-0000-7000-8000-000000000000"
YEAR = 365 * 24 * 3600 * SECOND


# ---------------------------------------------------------------- a database that is well, and copies of it to break


@dataclass(frozen=True)
class Party:
    """A saga of the template, and all that is of it; what it has not is empty."""

    id: str
    correlation_id: str
    member: str
    flight: int
    seat: int
    number: str
    reservation: str
    payment: str
    reference: str
    booking: str
    end: int
    """The sequence of its last event."""


@dataclass(frozen=True)
class Scene:
    """Who is in the template: `sold` has a booking, `undone` failed at the last step, `cancelled` was a booking until
    `cancellation` had its way, and `undoing` cannot give its money back yet, so that its seat is held."""

    sold: Party
    undone: Party
    cancelled: Party
    cancellation: SagaView
    undoing: Party

    def fill(self, text: str) -> str:
        """`text` with what it names in braces: {sold.id}."""
        return text.format(**{name: getattr(self, name) for name in self.__dataclass_fields__}, nobody=NOBODY)


async def make_scene(url: str, folder: Path) -> Scene:
    """Book, fail and cancel on the empty database at `url`, and leave it as a stopped server does."""
    database = Database(url)
    try:
        async with world_of(database, folder) as world:

            async def book(row: int, simulation: Simulation | None = None) -> SagaView:
                wish = [SegmentWish(world.flight_ids[0], seats=[f"{row}A"])]
                return await world.book(simulation, segments=wish, member_number=f"SS{row:07d}")

            sold = await world.ended(await book(10))
            undone = await world.ended(await book(11, Simulation(fail_at=("CONFIRM_BOOKING",))))
            cancelled = await world.ended(await book(12))
            cancellation = await cancelled_booking(world, cancelled)
            undoing = await book(13, Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",)))
            await undo_reached(world, undoing)
            return Scene(
                await party(world, sold, 10),
                await party(world, undone, 11),
                await party(world, cancelled, 12),
                cancellation,
                await party(world, undoing, 13),
            )
    finally:
        await database.close()


async def cancelled_booking(world: World, saga: SagaView) -> SagaView:
    """The cancellation of the booking that `saga` made, once it has ended."""
    booking = await world.booking(saga)
    assert booking is not None
    begun = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject="someone", by="someone"
    )
    assert isinstance(begun, SagaView), begun
    return await world.ended(begun)


async def undo_reached(world: World, saga: SagaView) -> None:
    """Return once giving the money back has failed."""

    async def check() -> bool:
        undo = (await world.view(saga)).steps[1].undo
        return undo is not None and undo.status is StepStatus.RETRYING

    await eventually(check)


async def party(world: World, saga: SagaView, row: int) -> Party:
    (reservation,) = await world.reservations(saga)
    payment = await world.payment(saga)
    assert payment is not None
    assert payment.reference is not None
    booking = await world.booking(saga)
    seat = seat_index(f"{row}A")
    assert seat is not None
    return Party(
        id=saga.id,
        correlation_id=saga.correlation_id,
        member=f"SS{row:07d}",
        flight=world.flight_ids[0],
        seat=seat,
        number=f"{row}A",
        reservation=reservation.id,
        payment=payment.id,
        reference=payment.reference,
        booking=booking.reference if booking else "",
        end=(await world.view(saga)).sequence,
    )


@pytest.fixture(scope="module")
def sqlite_scene(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scene]:
    """A folder with the template's files, and who is in it."""
    folder = tmp_path_factory.mktemp("scene")
    shutil.copy(sqlite_template, folder / "seatsaga.db")
    with ThreadPoolExecutor(1) as thread:
        url = f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}"
        scene = thread.submit(lambda: asyncio.run(make_scene(url, folder))).result()
    return folder, scene


@pytest.fixture(scope="module")
def postgres_scene(
    postgres_url: URL, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Scene]]:
    """The name of the template database, and who is in it."""
    name = f"scene_{uuid.uuid4().hex}"
    folder = tmp_path_factory.mktemp("scene")
    url = as_text(postgres_url.set(database=name))

    async def make() -> Scene:
        await administer(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY')
        return await make_scene(url, folder)

    with ThreadPoolExecutor(1) as thread:
        scene = thread.submit(lambda: asyncio.run(make())).result()
        yield name, scene
        thread.submit(lambda: asyncio.run(administer(postgres_url, f'DROP DATABASE "{name}"'))).result()


@dataclass
class Patient:
    """A copy of the template, of this test's own, that may be broken."""

    database: Database
    books: Path | Server
    scene: Scene

    async def hurt(self, *statements: str) -> None:
        """Run SQL as nobody should: no foreign key, no trigger, is in the way. {books} is where the books are."""
        if isinstance(self.books, Path):
            await asyncio.to_thread(self._hurt_files, statements)
            return
        connection = await self.books.connect()
        try:
            await connection.execute("SET session_replication_role = replica")
            for statement in statements:
                await connection.execute(self.scene.fill(statement.replace("{books}", "sandbox")))
        finally:
            await connection.close()

    def _hurt_files(self, statements: Sequence[str]) -> None:
        with closing(sqlite3.connect(str(self.database.url.database), isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS books", [str(self.books)])
            for statement in statements:
                connection.execute(self.scene.fill(statement.replace("{books}", "books")))

    async def examine(self, sweep: SweepSchedule = SWEEP) -> Examination:
        async with reading(self.books) as books:
            return await examine(self.database, books=books, sweep=sweep)


@pytest.fixture
async def patient(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Patient]:
    if backend == "sqlite":
        folder, scene = request.getfixturevalue("sqlite_scene")
        for name in ("seatsaga.db", "sandbox.db"):
            shutil.copy(folder / name, tmp_path / name)
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'seatsaga.db'}")
        yield Patient(database, tmp_path / "sandbox.db", scene)
        await database.close()
        return
    url: URL = request.getfixturevalue("postgres_url")
    template, scene = request.getfixturevalue("postgres_scene")
    name = f"test_{uuid.uuid4().hex}"
    await administer(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    own = url.set(database=name)
    database = Database(own)
    yield Patient(database, Server(own), scene)
    await database.close()
    await administer(url, f'DROP DATABASE "{name}" WITH (FORCE)')


def violations(found: Examination) -> list[Violation]:
    return [violation for finding in found.findings for violation in finding.violations]


def notes(found: Examination) -> dict[str, list[str]]:
    """What is listed, by topic, each as one line."""
    return {
        listing.topic: [f"{note.subject}: {note.detail}" for note in listing.notes]
        for listing in found.listings
        if listing.notes
    }


# ---------------------------------------------------------------- nothing is found where all is well


async def test_a_stopped_database_with_sagas_of_every_kind_is_clean(patient: Patient) -> None:
    found = await patient.examine()
    assert violations(found) == []
    assert found.is_clean
    assert (found.sagas, found.replicas) == (5, 0)
    assert notes(found) == {}
    assert found.skipped == []


async def test_a_database_without_a_saga_is_clean(database: Database) -> None:
    found = await examine(database, books=None, sweep=SWEEP)
    assert found.is_clean
    assert found.sagas == 0
    assert [check for check, _ in found.skipped] == ["provider-*"]


async def test_a_running_world_after_bookings_of_every_kind_is_clean(
    world: World, tmp_path: Path, clock: ManualClock
) -> None:
    away, back = (SegmentWish(flight, CabinClass.BUSINESS) for flight in world.flight_ids[:2])
    world.gateway.faults.add(Fault("authorize", FaultKind.SERVER_ERROR))
    begun = [
        await world.book(member_number="SS0000001"),
        await world.book(segments=[away, back], passengers=[JOHN, JANE], member_number="SS0000002"),
        await world.book(member_number="SS0000003", points_to_redeem=4_000),
        await world.book(member_number="SS0000004", points_to_redeem=10_000),
        await world.book(payment_token="pm_card_chargeDeclined"),
        await world.book(Simulation(lose_answer_at=("AUTHORIZE_PAYMENT", "CONFIRM_BOOKING"))),
    ]
    for steps, points in (
        (steps_of(EARN), 0),
        (steps_of(REDEEM)[1:], 500),
    ):
        begun += [
            await world.book(Simulation(fail_at=(step,)), member_number="SS0000005", points_to_redeem=points)
            for step in steps
        ]
    waiting = await world.book(Simulation(delay_ms=5_000))
    async with reading(books_of(world, tmp_path)) as books:
        meanwhile = await examine(world.database, books=books, sweep=SWEEP)
        assert violations(meanwhile) == []
        await world.bookings.cancel_saga(waiting.correlation_id, subject="someone", asked=A_CUSTOMER)
        for number, saga in enumerate(begun):

            async def over(saga: SagaView = saga) -> SagaView:
                clock.advance(0.05)
                found = await world.view(saga)
                assert found.status.is_terminal, found
                return found

            ended = await eventually(over, 30)
            if ended.status is SagaStatus.COMPLETED and number % 2 == 0:
                await cancelled_booking(world, ended)
        assert (await world.ended(waiting)).status is SagaStatus.COMPENSATED
        found = await examine(world.database, books=books, sweep=SWEEP)
    assert violations(found) == []
    assert found.sagas >= 16
    assert found.replicas == 1
    assert notes(found) == {}


def books_of(world: World, folder: Path) -> Path | Server:
    """Where the world's sandbox keeps its books."""
    if world.database.dialect == "sqlite":
        return folder / "sandbox.db"
    return Server(world.database.url)


class BooksOfAMoment:
    """Books at which somebody is busy when they are first opened: after our own records have been read."""

    def __init__(self, books: BooksReader, world: World, saga: SagaView) -> None:
        self.provider = books.provider
        self.page = books.page
        self._books = books
        self._world = world
        self._saga: SagaView | None = saga

    async def entries(self, references: Sequence[str]) -> Mapping[str, ProviderEntry]:
        if self._saga is not None:
            saga, self._saga = self._saga, None
            await cancelled_booking(self._world, saga)
            await self._world.ended(await self._world.book())
        return await self._books.entries(references)


async def test_what_begins_while_it_looks_is_no_violation(world: World, tmp_path: Path) -> None:
    saga = await world.ended(await world.book(member_number="SS0000001"))
    async with reading(books_of(world, tmp_path)) as books:
        found = await examine(world.database, books=BooksOfAMoment(books, world, saga), sweep=SWEEP)
        assert violations(found) == []
        assert found.sagas == 1
        again = await examine(world.database, books=books, sweep=SWEEP)
    assert violations(again) == []
    assert again.sagas == 3


async def test_a_log_that_was_pruned_is_whole_from_its_oldest_event_on(patient: Patient) -> None:
    await patient.database.write(lambda connection: events.prune(connection, [patient.scene.sold.id]))
    assert violations(await patient.examine()) == []


# ---------------------------------------------------------------- what is broken is named


@dataclass(frozen=True)
class Damage:
    """SQL that breaks something, the rules that then do not hold, and what the first of them names."""

    statements: tuple[str, ...]
    broken: tuple[str, ...]
    names: tuple[str, ...]


RESERVATION = "flight_id, seat, segment, passenger, cabin, status, held_at, expires_at, ended_at"


def bulk_action(*, done: int = 0, passed_over: int = 0) -> str:
    """SQL: a bulk action that is DONE, and says that one saga matched."""
    return (
        "INSERT INTO bulk_actions (id, kind, status, role, reason, filter, query, sagas_per_second, started_at,"
        " finished_at, matched, done, passed_over, next_at)"
        f" VALUES ('{{nobody}}', 'RETRY', 'DONE', 'OPERATOR', 'Why.', '', '', 1, 1, 2, 1, {done}, {passed_over}, 1)"
    )


def target(saga_id: str, state: str) -> str:
    """SQL: a saga of that bulk action."""
    return (
        f"INSERT INTO bulk_action_sagas (bulk_action_id, saga_id, state) VALUES ('{{nobody}}', '{saga_id}', '{state}')"
    )


DAMAGES = {
    "a seat with two owners": Damage(
        (
            "DROP INDEX uq_seat_reservations_live",
            f"INSERT INTO seat_reservations (id, saga_id, correlation_id, {RESERVATION}) "
            f"SELECT '{{nobody}}', saga_id, correlation_id, {RESERVATION} FROM seat_reservations "
            "WHERE id = '{sold.reservation}'",
        ),
        ("seat-owner", "booking-seats"),
        ("flight {sold.flight} seat 10A", "{sold.reservation}", "{nobody}"),
    ),
    "a booked seat that can be had": Damage(
        ("UPDATE seats SET status = 'AVAILABLE' WHERE flight_id = {sold.flight} AND seat = {sold.seat}",),
        ("seat-status",),
        ("flight {sold.flight} seat 10A", "AVAILABLE", "{sold.reservation}", "CONFIRMED"),
    ),
    "a held seat that nobody holds": Damage(
        ("UPDATE seats SET status = 'HELD' WHERE flight_id = {sold.flight} AND seat = 161",),
        ("seat-status",),
        ("flight {sold.flight} seat 27F", "HELD", "no live reservation"),
    ),
    "a reservation without a seat": Damage(
        ("DELETE FROM seats WHERE flight_id = {sold.flight} AND seat = {sold.seat}",),
        ("seat-status",),
        ("{sold.reservation}", "seat 10A", "no such seat"),
    ),
    "a bulk action that miscounts": Damage(
        (bulk_action(done=1),),
        ("bulk-counts",),
        ("{nobody}", "1 matched, 1 done", "0, 0, 0"),
    ),
    "a bulk action over a saga that there is not": Damage(
        (bulk_action(passed_over=1), target("{nobody}", "PASSED_OVER")),
        ("bulk-sagas",),
        ("{nobody}", "there is none"),
    ),
    "a saga that was handled without a record": Damage(
        (bulk_action(done=1), target("{sold.id}", "DONE")),
        ("bulk-record",),
        ("{nobody}", "{sold.id}", "0 entries"),
    ),
    "a balance that is no sum": Damage(
        ("UPDATE loyalty_accounts SET balance = balance + 1 WHERE member_number = '{sold.member}'",),
        ("account-sums",),
        ("account {sold.member}",),
    ),
    "pending miles that are no sum": Damage(
        ("UPDATE loyalty_accounts SET pending = pending + 7 WHERE member_number = '{sold.member}'",),
        ("account-sums",),
        ("account {sold.member}", "7 pending"),
    ),
    "an entry whose balance does not follow": Damage(
        (
            "UPDATE loyalty_entries SET id = '{nobody}', balance_after = balance_after + 1 "
            "WHERE saga_id = '{sold.id}' AND reason = 'POSTED'",
        ),
        ("account-entries",),
        ("account {sold.member}", "50001", "{nobody}"),
    ),
    "two payments by one reference": Damage(
        ("UPDATE payments SET reference = '{sold.reference}' WHERE id = '{undone.payment}'",),
        ("payment-reference", "payment-booking", "provider-charges"),
        ("{sold.reference}", "{sold.payment}", "{undone.payment}"),
    ),
    "money that was moved without a reference": Damage(
        ("UPDATE payments SET reference = NULL WHERE id = '{sold.payment}'",),
        ("payment-reference", "payment-booking", "provider-known"),
        ("{sold.payment}", "{sold.correlation_id}"),
    ),
    "a step left executing": Damage(
        ("UPDATE saga_steps SET status = 'EXECUTING' WHERE saga_id = '{undone.id}' AND position = 3",),
        ("saga-ended",),
        ("saga {undone.correlation_id}", "CONFIRM_BOOKING is EXECUTING"),
    ),
    "a step that a completed saga has not done": Damage(
        ("UPDATE saga_steps SET status = 'PENDING' WHERE saga_id = '{sold.id}' AND position = 2",),
        ("saga-ended",),
        ("saga {sold.correlation_id}", "AWARD_MILES is PENDING"),
    ),
    "a compensation to come": Damage(
        ("UPDATE saga_steps SET undo_status = 'PENDING' WHERE saga_id = '{undone.id}' AND position = 1",),
        ("saga-ended",),
        ("saga {undone.correlation_id}", "CANCEL_PAYMENT is PENDING"),
    ),
    "an effect left": Damage(
        ("UPDATE sagas SET effects = 5 WHERE id = '{undone.id}'",),
        ("saga-ended",),
        ("saga {undone.correlation_id}", "0, 2"),
    ),
    "an active saga that nobody looks at": Damage(
        ("UPDATE sagas SET due_at = NULL WHERE id = '{undoing.id}'",),
        ("saga-goes-on",),
        ("saga {undoing.correlation_id}", "due at no time"),
    ),
    "an active saga of an owner that nobody knows": Damage(
        ("UPDATE sagas SET replica = '{nobody}' WHERE id = '{undoing.id}'",),
        ("saga-goes-on",),
        ("saga {undoing.correlation_id}", "{nobody}"),
    ),
    "a word that nothing waits for": Damage(
        ("UPDATE sagas SET word = '1', word_at = 1, word_fingerprint = 'f' WHERE id = '{undoing.id}'",),
        ("saga-waits",),
        ("saga {undoing.correlation_id}", "a word stands"),
    ),
    "a step that waits and is not where its saga stands": Damage(
        ("UPDATE saga_steps SET status = 'WAITING' WHERE saga_id = '{undoing.id}' AND position = 3",),
        ("saga-waits",),
        ("saga {undoing.correlation_id}", "CONFIRM_BOOKING, at which it does not stand"),
    ),
    "a saga that waits for nothing": Damage(
        ("UPDATE sagas SET status = 'WAITING' WHERE id = '{undoing.id}'",),
        ("saga-waits", "log-agrees"),
        ("saga {undoing.correlation_id}", "it is WAITING, waits for nothing"),
    ),
    "a gap in a log": Damage(
        ("DELETE FROM saga_events WHERE saga_id = '{sold.id}' AND sequence = 3",),
        ("log-numbers",),
        ("saga {sold.correlation_id}", "1 of the events 1 to {sold.end}"),
    ),
    "an active saga's log without its beginning": Damage(
        ("DELETE FROM saga_events WHERE saga_id = '{undoing.id}' AND sequence = 1",),
        ("log-numbers",),
        ("saga {undoing.correlation_id}", "begins with 2"),
    ),
    "a sequence ahead of the log": Damage(
        ("UPDATE sagas SET sequence = sequence + 1 WHERE id = '{sold.id}'",),
        ("log-agrees",),
        ("saga {sold.correlation_id}", "the newest event is {sold.end}"),
    ),
    "a log that ends otherwise": Damage(
        ("UPDATE saga_events SET type = 'SAGA_COMPENSATED' WHERE saga_id = '{sold.id}' AND sequence = {sold.end}",),
        ("log-agrees",),
        ("saga {sold.correlation_id}", "it is COMPLETED", "SAGA_COMPENSATED"),
    ),
    "a log that has ended before its saga": Damage(
        (
            "UPDATE saga_events SET type = 'SAGA_COMPENSATED' "
            "WHERE saga_id = '{undoing.id}' AND sequence = (SELECT sequence FROM sagas WHERE id = '{undoing.id}')",
        ),
        ("log-agrees",),
        ("saga {undoing.correlation_id}", "it is COMPENSATING", "SAGA_COMPENSATED"),
    ),
    "a saga that runs forward though its log undoes it": Damage(
        ("UPDATE sagas SET status = 'RUNNING', direction = 'FORWARD' WHERE id = '{undoing.id}'",),
        ("log-agrees",),
        ("saga {undoing.correlation_id}", "it is RUNNING", "COMPENSATION_RETRYING"),
    ),
    "a saga without a log": Damage(
        ("DELETE FROM saga_events WHERE saga_id = '{sold.id}'",),
        ("log-agrees",),
        ("saga {sold.correlation_id}", "no event"),
    ),
    "a booking without a saga": Damage(
        ("DELETE FROM sagas WHERE id = '{sold.id}'",),
        ("saga-known", "log-agrees", "statistics"),
        ("saga {sold.id}", "{sold.booking}"),
    ),
    "a payment without a saga": Damage(
        ("DELETE FROM sagas WHERE id = '{undone.id}'",),
        ("saga-known", "log-agrees", "statistics"),
        ("saga {undone.id}", "{undone.payment}"),
    ),
    "a reservation without a saga": Damage(
        ("UPDATE seat_reservations SET saga_id = '{nobody}' WHERE id = '{sold.reservation}'",),
        ("saga-known", "booking-seats"),
        ("saga {nobody}", "seat 10A", "{sold.reservation}"),
    ),
    "points without a saga": Damage(
        ("UPDATE loyalty_entries SET saga_id = '{nobody}' WHERE saga_id = '{undone.id}' AND reason = 'AWARDED'",),
        ("saga-known", "saga-settled"),
        ("saga {nobody}", "0 points", "pending"),
    ),
    "passengers without a saga": Damage(
        ("INSERT INTO passengers (saga_id, position, given_name, family_name) VALUES ('{nobody}', 0, 'No', 'Body')",),
        ("saga-known",),
        ("saga {nobody}", "1 passengers"),
    ),
    "a context that nobody can read": Damage(
        ("UPDATE sagas SET context = '[]' WHERE id = '{sold.id}'",),
        ("saga-known",),
        ("saga {sold.correlation_id}", "context"),
    ),
    "a hold of a saga that is undone": Damage(
        (
            "UPDATE seat_reservations SET status = 'HELD', ended_at = NULL WHERE id = '{undone.reservation}'",
            "UPDATE seats SET status = 'HELD' WHERE flight_id = {undone.flight} AND seat = {undone.seat}",
        ),
        ("saga-settled",),
        ("saga {undone.correlation_id}", "11A", "{undone.reservation}"),
    ),
    "pending miles of a saga that is completed": Damage(
        (
            "UPDATE loyalty_entries SET pending_points = pending_points + 5 "
            "WHERE saga_id = '{sold.id}' AND reason = 'AWARDED'",
            "UPDATE loyalty_accounts SET pending = pending + 5 WHERE member_number = '{sold.member}'",
        ),
        ("saga-settled",),
        ("saga {sold.correlation_id}", "5 miles"),
    ),
    "points moved by a saga that is undone": Damage(
        (
            "UPDATE loyalty_entries SET points = points + 5, balance_after = balance_after + 5 "
            "WHERE saga_id = '{undone.id}' AND reason = 'REVERSED'",
            "UPDATE loyalty_accounts SET balance = balance + 5 WHERE member_number = '{undone.member}'",
        ),
        ("saga-settled",),
        ("saga {undone.correlation_id}", "+5 points"),
    ),
    "a completed saga without a booking": Damage(
        ("DELETE FROM bookings WHERE saga_id = '{sold.id}'",),
        ("booking-saga", "booking-seats", "payment-booking", "provider-charges"),
        ("saga {sold.correlation_id}", "no booking"),
    ),
    "a booking of a saga that goes on": Damage(
        ("UPDATE bookings SET saga_id = '{undoing.id}' WHERE saga_id = '{sold.id}'",),
        ("booking-saga", "booking-seats", "booking-points", "payment-booking", "provider-charges"),
        ("{undoing.correlation_id}", "it is COMPENSATING", "{sold.booking}"),
    ),
    "a booking for other miles": Damage(
        ("UPDATE bookings SET miles_awarded = miles_awarded - 1 WHERE saga_id = '{sold.id}'",),
        ("booking-saga",),
        ("saga {sold.correlation_id}", "{sold.booking}"),
    ),
    "a booking for another price": Damage(
        ("UPDATE bookings SET total_minor = total_minor + 1 WHERE saga_id = '{sold.id}'",),
        ("booking-saga",),
        ("saga {sold.correlation_id}", "{sold.booking}"),
    ),
    "a passenger who is on no record": Damage(
        ("DELETE FROM passengers WHERE saga_id = '{sold.id}'",),
        ("booking-saga",),
        ("saga {sold.correlation_id}", "{sold.booking}", "1 passengers"),
    ),
    "a booking that nobody is cancelling": Damage(
        ("UPDATE bookings SET status = 'CANCELLING' WHERE saga_id = '{sold.id}'",),
        ("booking-saga",),
        ("saga {sold.correlation_id}", "{sold.booking}", "CANCELLING"),
    ),
    "a cancellation that there is not": Damage(
        ("UPDATE bookings SET cancellation_id = '{nobody}' WHERE saga_id = '{sold.id}'",),
        ("booking-saga",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{nobody}"),
    ),
    "a cancellation of no booking": Damage(
        ("UPDATE bookings SET cancellation_id = NULL WHERE saga_id = '{cancelled.id}'",),
        ("cancellations", "booking-saga"),
        ("saga {cancellation.correlation_id}",),
    ),
    "a passenger without a seat": Damage(
        (
            "UPDATE seat_reservations SET status = 'RELEASED', ended_at = 1 WHERE id = '{sold.reservation}'",
            "UPDATE seats SET status = 'AVAILABLE' WHERE flight_id = {sold.flight} AND seat = {sold.seat}",
        ),
        ("booking-seats",),
        ("saga {sold.correlation_id}", "{sold.booking}", "passenger 0", "flight {sold.flight}"),
    ),
    "a seat on another segment": Damage(
        ("UPDATE seat_reservations SET segment = 1 WHERE id = '{sold.reservation}'",),
        ("booking-seats",),
        ("saga {sold.correlation_id}", "{sold.booking}", "not for", "{sold.reservation}"),
    ),
    "a seat of a cancelled booking": Damage(
        (
            "UPDATE seat_reservations SET status = 'CONFIRMED', ended_at = NULL WHERE id = '{cancelled.reservation}'",
            "UPDATE seats SET status = 'BOOKED' WHERE flight_id = {cancelled.flight} AND seat = {cancelled.seat}",
        ),
        ("booking-seats",),
        ("saga {cancelled.correlation_id}", "{cancelled.booking}", "{cancelled.reservation}"),
    ),
    "a confirmed seat of no booking": Damage(
        (
            "UPDATE seat_reservations SET status = 'CONFIRMED', ended_at = NULL WHERE id = '{undone.reservation}'",
            "UPDATE seats SET status = 'BOOKED' WHERE flight_id = {undone.flight} AND seat = {undone.seat}",
        ),
        ("booking-seats",),
        ("saga {undone.correlation_id}", "{undone.reservation}"),
    ),
    "miles that a booking is not for": Damage(
        (
            "UPDATE loyalty_entries SET points = points + 5, balance_after = balance_after + 5 "
            "WHERE saga_id = '{sold.id}' AND reason = 'POSTED'",
            "UPDATE loyalty_accounts SET balance = balance + 5 WHERE member_number = '{sold.member}'",
        ),
        ("booking-points",),
        ("saga {sold.correlation_id}", "{sold.booking}"),
    ),
    "a booking whose money is not taken": Damage(
        ("UPDATE payments SET status = 'AUTHORIZED' WHERE id = '{sold.payment}'",),
        ("payment-booking",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{sold.payment}", "AUTHORIZED"),
    ),
    "a booking that was never paid": Damage(
        ("DELETE FROM payments WHERE id = '{sold.payment}'",),
        ("payment-booking", "provider-known"),
        ("saga {sold.correlation_id}", "{sold.booking}", "no payment"),
    ),
    "a payment where nothing was to be paid": Damage(
        ("UPDATE sagas SET context = replace(context, '\"payable\":10000', '\"payable\":0') WHERE id = '{sold.id}'",),
        ("payment-booking",),
        ("saga {sold.correlation_id}", "{sold.booking}", "nothing to pay", "{sold.payment}"),
    ),
    "a payment of another amount": Damage(
        ("UPDATE payments SET amount_minor = amount_minor - 1 WHERE id = '{sold.payment}'",),
        ("payment-booking", "provider-charges"),
        ("saga {sold.correlation_id}", "{sold.payment}"),
    ),
    "money taken without a booking": Damage(
        ("UPDATE payments SET status = 'CAPTURED' WHERE id = '{undone.payment}'",),
        ("payment-booking",),
        ("saga {undone.correlation_id}", "{undone.payment}", "{undone.reference}", "no booking"),
    ),
    "money of which nobody knows after all is undone": Damage(
        ("UPDATE payments SET status = 'UNKNOWN' WHERE id = '{undone.payment}'",),
        ("payment-booking",),
        ("saga {undone.correlation_id}", "{undone.payment}", "UNKNOWN"),
    ),
    "money kept for a cancelled booking": Damage(
        ("UPDATE payments SET status = 'CAPTURED' WHERE id = '{cancelled.payment}'",),
        ("payment-booking",),
        ("saga {cancelled.correlation_id}", "{cancelled.booking}", "{cancelled.payment}"),
    ),
    "money on its way back after the cancellation has ended": Damage(
        ("UPDATE payments SET status = 'REFUND_PENDING' WHERE id = '{cancelled.payment}'",),
        ("payment-booking",),
        ("saga {cancelled.correlation_id}", "{cancelled.booking}", "{cancelled.payment}", "REFUND_PENDING"),
    ),
    "money on its way back of a booking that stands": Damage(
        ("UPDATE payments SET status = 'REFUND_PENDING' WHERE id = '{sold.payment}'",),
        ("payment-booking",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{sold.payment}", "REFUND_PENDING"),
    ),
    "money on its way back after all is undone": Damage(
        ("UPDATE payments SET status = 'REFUND_PENDING' WHERE id = '{undone.payment}'",),
        ("payment-booking",),
        ("saga {undone.correlation_id}", "{undone.payment}", "REFUND_PENDING"),
    ),
    "money on its way back at the provider after the cancellation has ended": Damage(
        ("UPDATE {books}.entries SET state = 'REFUND_PENDING' WHERE reference = '{cancelled.reference}'",),
        ("provider-charges",),
        ("saga {cancelled.correlation_id}", "{cancelled.booking}", "{cancelled.reference}"),
    ),
    "money taken twice": Damage(
        ("UPDATE {books}.entries SET captures = 2 WHERE reference = '{sold.reference}'",),
        ("provider-charges",),
        ("saga {sold.correlation_id}", "{sold.reference}", "2 times"),
    ),
    "money of another amount taken": Damage(
        ("UPDATE {books}.entries SET amount = amount + 1 WHERE reference = '{sold.reference}'",),
        ("provider-charges",),
        ("saga {sold.correlation_id}", "{sold.reference}"),
    ),
    "money only reserved for a booking": Damage(
        ("UPDATE {books}.entries SET state = 'AUTHORIZED' WHERE reference = '{sold.reference}'",),
        ("provider-charges",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{sold.reference}"),
    ),
    "money given back for a booking": Damage(
        ("UPDATE {books}.entries SET state = 'REFUNDED' WHERE reference = '{sold.reference}'",),
        ("provider-charges",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{sold.reference}"),
    ),
    "a booking of which the provider has not heard": Damage(
        ("DELETE FROM {books}.entries WHERE reference = '{sold.reference}'",),
        ("provider-charges",),
        ("saga {sold.correlation_id}", "{sold.booking}", "{sold.reference}"),
    ),
    "money reserved for what is undone": Damage(
        ("UPDATE {books}.entries SET state = 'AUTHORIZED' WHERE reference = '{undone.reference}'",),
        ("provider-charges",),
        ("saga {undone.correlation_id}", "{undone.reference}"),
    ),
    "money not given back at the provider": Damage(
        ("UPDATE {books}.entries SET state = 'CAPTURED' WHERE reference = '{cancelled.reference}'",),
        ("provider-charges",),
        ("saga {cancelled.correlation_id}", "{cancelled.booking}", "{cancelled.reference}"),
    ),
    "money that no saga knows": Damage(
        (
            "INSERT INTO {books}.entries"
            " (reference, state, amount, currency, authorizations, captures, voids, refunds)"
            " VALUES ('pi_lost', 'AUTHORIZED', 100, 'USD', 1, 0, 0, 0)",
        ),
        ("provider-known",),
        ("pi_lost",),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=[name.replace(" ", "-") for name in DAMAGES])
async def test_what_is_broken_is_named_with_its_ids_and_nothing_else_is(patient: Patient, damage: Damage) -> None:
    await patient.hurt(*damage.statements)
    found = await patient.examine()
    assert not found.is_clean
    assert {violation.check for violation in violations(found)} == set(damage.broken), violations(found)
    told = [f"{item.subject}: {item.detail}" for item in violations(found) if item.check == damage.broken[0]]
    wanted = [patient.scene.fill(name) for name in damage.names]
    assert any(all(name in line for name in wanted) for line in told), told


async def test_every_rule_is_broken_by_some_damage(patient: Patient) -> None:
    rules = {finding.check for finding in (await patient.examine()).findings}
    told_apart = {"hold-time", "known-values", "column-types", "completed"}
    assert {check for damage in DAMAGES.values() for check in damage.broken} == rules - told_apart


async def test_no_more_are_named_than_anyone_reads_and_that_there_are_more_is_said(patient: Patient) -> None:
    await patient.hurt("UPDATE seats SET status = 'HELD' WHERE flight_id = {sold.flight} AND status = 'AVAILABLE'")
    (finding,) = [finding for finding in (await patient.examine()).findings if finding.violations]
    assert finding.check == "seat-status"
    assert len(finding.violations) == NAMED_MAX
    assert finding.has_more


def test_no_more_is_listed_than_anyone_reads_and_that_there_is_more_is_said() -> None:
    listing = Listing("STUCK", "sagas that keep failing")
    for number in range(NAMED_MAX):
        listing.add(f"saga {number}", "TIMEOUT")
    assert not listing.has_more
    listing.add("one more saga", "TIMEOUT")
    assert len(listing.notes) == NAMED_MAX
    assert listing.has_more


async def test_an_active_saga_is_not_compared_with_the_provider(patient: Patient) -> None:
    await patient.hurt("UPDATE {books}.entries SET state = 'CAPTURED' WHERE reference = '{undoing.reference}'")
    assert violations(await patient.examine()) == []


# ---------------------------------------------------------------- holds beyond their time


SERVED = f"UPDATE replicas SET lease_until = {wall_now() + YEAR}"


def lapsed(seconds: float) -> str:
    """SQL: the hold of `undoing` has lapsed so long ago."""
    at = wall_now() - round(seconds * SECOND)
    return f"UPDATE seat_reservations SET held_at = {at - 1}, expires_at = {at} WHERE id = '{{undoing.reservation}}'"


async def test_a_hold_that_is_past_its_time_and_the_sweep_is_named(patient: Patient) -> None:
    await patient.hurt(SERVED, lapsed(300))
    found = await patient.examine()
    (violation,) = violations(found)
    assert violation.check == "hold-time"
    assert violation.subject == f"saga {patient.scene.undoing.correlation_id}"
    assert "seat 13A" in violation.detail


async def test_a_hold_whose_sweep_is_not_due_yet_is_no_violation(patient: Patient) -> None:
    await patient.hurt(SERVED, lapsed(25))
    found = await patient.examine()
    assert violations(found) == []
    assert notes(found) == {}


async def test_a_hold_that_is_pinned_may_outlive_its_time(patient: Patient) -> None:
    await patient.hurt(SERVED, lapsed(300), "UPDATE sagas SET pinned_at = 1 WHERE id = '{undoing.id}'")
    assert violations(await patient.examine()) == []


async def test_lapsed_holds_of_a_stopped_server_are_listed_for_its_next_start(patient: Patient) -> None:
    await patient.hurt(lapsed(300))
    found = await patient.examine()
    assert violations(found) == []
    assert list(notes(found)) == ["LAPSED"]
    assert patient.scene.undoing.correlation_id in notes(found)["LAPSED"][0]
    (listing,) = [listing for listing in found.listings if listing.notes]
    assert "next start" in listing.means


async def test_lapsed_holds_are_listed_with_who_has_paused_their_release(patient: Patient) -> None:
    await patient.hurt(SERVED, lapsed(300))
    found = await patient.examine(SweepSchedule(30, paused_by="grace"))
    assert violations(found) == []
    (listing,) = [listing for listing in found.listings if listing.notes]
    assert (listing.topic, len(listing.notes)) == ("LAPSED", 1)
    assert "grace" in listing.means


# ---------------------------------------------------------------- what an operator is told of


async def test_a_stuck_saga_is_listed_with_its_reason_and_once_skipped_as_abandoned(
    world: World, tmp_path: Path, clock: ManualClock
) -> None:
    simulation = Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",))
    saga = await world.book(simulation, member_number="SS0000001")
    await world.hurried(saga, clock, "STUCK")
    async with reading(books_of(world, tmp_path)) as books:
        stuck = await examine(world.database, books=books, sweep=SWEEP)
        assert violations(stuck) == []
        assert list(notes(stuck)) == ["STUCK"]
        assert f"saga {saga.correlation_id}: CANCEL_PAYMENT: SIMULATED" in notes(stuck)["STUCK"][0]
        await world.bookings.skip_step(
            saga.correlation_id, "AUTHORIZE_PAYMENT", "Given back by hand.", asked=AN_OPERATOR
        )
        await world.ended(saga)
        abandoned = await examine(world.database, books=books, sweep=SWEEP)
    assert violations(abandoned) == []
    assert list(notes(abandoned)) == ["ABANDONED"]
    (line,) = notes(abandoned)["ABANDONED"]
    payment = await world.payment(saga)
    assert payment is not None
    assert line == (
        f"saga {saga.correlation_id}: CANCEL_PAYMENT skipped: Given back by hand.; "
        f"payment {payment.reference} is AUTHORIZED"
    )
    await world.bookings.settle_saga(saga.correlation_id, "Voided in the dashboard.", asked=AN_OPERATOR)
    async with reading(books_of(world, tmp_path)) as books:
        assert notes(await examine(world.database, books=books, sweep=SWEEP)) == {}


async def test_an_abandoned_cancellation_is_listed_with_its_booking(
    world: World, tmp_path: Path, clock: ManualClock
) -> None:
    saga = await world.ended(await world.book(member_number="SS0000001"))
    booking = await world.booking(saga)
    assert booking is not None
    world.gateway.faults.add(Fault("refund", FaultKind.TIMEOUT_BEFORE_EFFECT, times=1_000))
    begun = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject="someone", by="someone"
    )
    assert isinstance(begun, SagaView)
    await world.hurried(begun, clock, "STUCK", seconds=600)
    await world.bookings.skip_step(begun.correlation_id, "REFUND_PAYMENT", "Refunded by hand.", asked=AN_OPERATOR)
    await world.ended(begun)
    async with reading(books_of(world, tmp_path)) as books:
        found = await examine(world.database, books=books, sweep=SWEEP)
    assert violations(found) == []
    assert notes(found)["ABANDONED"] == [
        f"saga {begun.correlation_id}: REFUND_PAYMENT skipped: Refunded by hand.; "
        f"booking {booking.reference} is CANCELLED"
    ]


# ---------------------------------------------------------------- a value that cannot be read stops no other check


SOLD: Final = "saga_id = '{sold.id}'"


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("sagas", "status", "id = '{sold.id}'"),
        ("saga_steps", "status", SOLD),
        ("saga_steps", "undo_status", "saga_id = '{undone.id}'"),
        ("bookings", "status", SOLD),
        ("payments", "status", SOLD),
        ("seat_reservations", "status", SOLD),
        ("seat_reservations", "cabin", SOLD),
        ("loyalty_entries", "reason", f"id = (SELECT id FROM loyalty_entries WHERE {SOLD} ORDER BY id LIMIT 1)"),
    ],
)
async def test_a_value_of_a_newer_release_is_named_and_every_other_check_still_runs(
    patient: Patient, table: str, column: str, where: str
) -> None:
    unguarded = (
        ["PRAGMA ignore_check_constraints = 1"]
        if isinstance(patient.books, Path)
        else [
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_{name}"
            for name in ("status", "cabin", "reason", "finished", "ended")
        ]
    )
    checks = {finding.check for finding in (await patient.examine()).findings}
    await patient.hurt(
        *unguarded,
        f"UPDATE {table} SET {column} = 'OF_A_NEWER_RELEASE' WHERE {where}",
        # Damage that only a later check finds.
        "UPDATE seats SET status = 'BOOKED' WHERE flight_id = {sold.flight} AND seat = 150",
    )
    found = await patient.examine()
    assert {finding.check for finding in found.findings} == checks
    by_check = {finding.check: finding.violations for finding in found.findings}
    assert {violation.detail for violation in by_check["known-values"]} == {f"{column} is 'OF_A_NEWER_RELEASE'"}
    assert by_check["completed"] == []
    assert any("no live reservation" in violation.detail for violation in by_check["seat-status"])
    assert found.sagas == 5


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("bookings", "total_minor = 'a lot' WHERE saga_id = '{sold.id}'"),
        ("payments", "amount_minor = 'a lot' WHERE saga_id = '{sold.id}'"),
        ("sagas", "sequence = 'many' WHERE id = '{sold.id}'"),
        ("sagas", "context = x'ff' WHERE id = '{sold.id}'"),
        ("seat_reservations", "expires_at = 'soon' WHERE saga_id = '{undoing.id}'"),
        ("loyalty_entries", "points = 'some' WHERE id = (SELECT min(id) FROM loyalty_entries)"),
        ("loyalty_accounts", "balance = 1.5 WHERE member_number = '{sold.member}'"),
    ],
)
async def test_a_value_of_another_type_is_named_and_every_other_check_still_runs(
    patient: Patient, table: str, change: str
) -> None:
    await patient.hurt("PRAGMA ignore_check_constraints = 1", f"UPDATE {table} SET {change}")
    found = await patient.examine()
    (mistyped,) = [violation for violation in violations(found) if violation.check == "column-types"]
    assert mistyped.subject.startswith(table)
    assert change.split()[0] in mistyped.detail
    assert {finding.check for finding in found.findings} >= {"log-agrees", "seat-status", "provider-known"}
    stopped = [violation for violation in violations(found) if violation.check == "completed"]
    assert len(stopped) == (change.split()[0] in ("total_minor", "amount_minor", "expires_at"))
