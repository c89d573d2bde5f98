"""Random mixes of bookings, failures, cancels, lost answers, expiries and crashes; afterwards nothing is amiss.

What is looked at is what the doctor looks at: seats and their owners, balances and entries, the
provider's books, the logs. `pytest --hypothesis-seed=N` repeats a run; a failure prints how to
repeat it alone.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from domain.audit import SweepSchedule, examine
from domain.bookings import Booking, SegmentWish
from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation
from domain.storage import Database, Server
from sandbox import Fault, FaultKind
from sandbox.reading import reading
from tests.conftest import administer, as_text
from tests.domain.bookings.world import HOLD_SECONDS, JANE, JOHN, World, world_of
from tests.support.asking import AN_OPERATOR
from tests.support.sequences import BOOKINGS
from tests.support.waiting import eventually

SWEEP = SweepSchedule(30.0, None)
#: Longer than any lease here.
LEASE_SECONDS = 20.0
LIVES = settings(
    deadline=None,
    max_examples=25,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
STEPS = {step.name: step for definition in BOOKINGS for step in definition.steps}
UNDOS = sorted({step.compensation.name for step in STEPS.values() if step.compensation and not step.pins})


@dataclass(frozen=True)
class Book:
    """Somebody books."""

    flight: int
    both_ways: bool
    passengers: int
    member: int | None
    points: int
    fail_at: tuple[str, ...]
    fail_undo_at: tuple[str, ...]
    lose_at: tuple[str, ...]
    delay_ms: int
    card: str
    pay_later: bool


@dataclass(frozen=True)
class Pay:
    """Somebody names a card for held seats, be it asked for or not."""

    which: int
    card: str


@dataclass(frozen=True)
class Answer:
    """The holder of a card answers their bank, and somebody may tell us that there is news."""

    which: int
    approves: bool
    told: bool


@dataclass(frozen=True)
class Trouble:
    """The provider goes wrong, once or a few times."""

    operation: str
    kind: FaultKind
    times: int


@dataclass(frozen=True)
class CancelSaga:
    """Somebody changes their mind about what is still running, or is not."""

    which: int


@dataclass(frozen=True)
class CancelBooking:
    """Somebody gives a booking back."""

    which: int


@dataclass(frozen=True)
class Wait:
    """Time passes: a moment, or longer than any hold lives, and the job runs."""

    seconds: float


@dataclass(frozen=True)
class Crash:
    """The process is gone in the middle of everything, and another one starts."""


Deed = Book | Pay | Answer | Trouble | CancelSaga | CancelBooking | Wait | Crash

cards = st.sampled_from(
    [
        "pm_card_visa",
        "pm_card_visa",
        "pm_card_chargeDeclined",
        "pm_card_threeDSecure2Required",
        "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    ]
)
books = st.builds(
    Book,
    flight=st.integers(0, 1),
    both_ways=st.booleans(),
    passengers=st.integers(1, 4),
    member=st.none() | st.integers(1, 3),
    points=st.sampled_from([0, 0, 100, 10_000]),
    fail_at=st.lists(st.sampled_from(sorted(STEPS)), max_size=1).map(tuple),
    fail_undo_at=st.lists(st.sampled_from(UNDOS), max_size=1).map(tuple),
    lose_at=st.lists(st.sampled_from(sorted(name for name, step in STEPS.items() if step.is_remote)), max_size=2).map(
        tuple
    ),
    delay_ms=st.sampled_from([0, 0, 1, 40]),
    card=cards,
    pay_later=st.booleans(),
)
troubles = st.builds(
    Trouble,
    operation=st.sampled_from(["authorize", "capture", "void", "refund", "read"]),
    kind=st.sampled_from(list(FaultKind)),
    times=st.integers(1, 3),
)
deeds = st.one_of(
    books,
    books,
    books,
    st.builds(Pay, st.integers(0, 30), cards),
    st.builds(Pay, st.integers(0, 30), cards),
    st.builds(Answer, st.integers(0, 30), approves=st.booleans(), told=st.booleans()),
    st.builds(Answer, st.integers(0, 30), approves=st.booleans(), told=st.booleans()),
    troubles,
    st.builds(CancelSaga, st.integers(0, 30)),
    st.builds(CancelBooking, st.integers(0, 30)),
    st.builds(Wait, st.sampled_from([0.01, 1.0, 70.0, HOLD_SECONDS + 1.0])),
    st.just(Crash()),
)
lives = st.lists(deeds, min_size=1, max_size=16)


@dataclass
class Life:
    """A database, and the process of the moment on it."""

    database: Database
    clock: ManualClock
    folder: Path
    begun: list[SagaView] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """Of every holder who was ever asked."""
    world: World | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def now(self) -> World:
        assert self.world is not None
        return self.world

    async def start(self, *, alone: bool = True) -> None:
        self._stack = AsyncExitStack()
        self.world = await self._stack.enter_async_context(world_of(self.database, self.folder, alone=alone))

    async def crash(self, *, alone: bool = True) -> None:
        """Nothing settles, nothing is given up in order: all tasks are simply no more.

        If the next process does not know that it is `alone`, it takes over once the lease has lapsed.
        """
        runner = self.now.engine.runner
        await runner._leave()
        runner._calls.clear()
        await self._stack.aclose()
        if not alone:
            self.clock.advance(LEASE_SECONDS)
        await self.start(alone=alone)

    async def do(self, deed: Any) -> None:
        match deed:
            case Book():
                await self._book(deed)
            case Pay(which, card) if self.begun:
                saga = self.begun[which % len(self.begun)]
                await self.now.bookings.pay_for_hold(saga.correlation_id, card, subject=None, by=AN_OPERATOR.by)
            case Answer(which, approves, told) if self.begun:
                await self._answer(self.begun[which % len(self.begun)], approves=approves, told=told)
            case Trouble(operation, kind, times):
                self.now.gateway.faults.add(Fault(operation, kind, times))
            case CancelSaga(which) if self.begun:
                saga = self.begun[which % len(self.begun)]
                await self.now.bookings.cancel_saga(saga.correlation_id, subject=None, asked=AN_OPERATOR)
            case CancelBooking(which):
                booking = await self._some_booking(which)
                if booking is not None:
                    answer = await self.now.bookings.cancel_booking(
                        booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
                    )
                    if isinstance(answer, SagaView):
                        self.begun.append(answer)
            case Wait(seconds):
                self.clock.advance(seconds)
                await self.now.bookings.release_expired()
                await asyncio.sleep(0.01)
            case Crash():
                await self.crash()

    async def _book(self, deed: Book) -> None:
        flights = self.now.flight_ids
        legs = (
            [SegmentWish(flights[0]), SegmentWish(flights[1])]
            if deed.both_ways
            else [SegmentWish(flights[deed.flight])]
        )
        answer = await self.now.bookings.book(
            self.now.request(
                correlation_id=str(uuid.uuid4()),
                segments=legs,
                passengers=([JOHN, JANE] * 2)[: deed.passengers],
                member_number=f"SS{deed.member:07d}" if deed.member else None,
                points_to_redeem=deed.points if deed.member else 0,
                simulation=Simulation(deed.fail_at, deed.fail_undo_at, deed.lose_at, deed.delay_ms),
                payment_token=None if deed.pay_later else deed.card,
                pay_later=deed.pay_later,
            )
        )
        if isinstance(answer, SagaView):
            self.begun.append(answer)

    async def _answer(self, saga: SagaView, *, approves: bool, told: bool) -> None:
        """With the present secret of the saga's payment, and if none is asked for, with one of before."""
        entry = await self.now.entry(saga)
        if entry is None or not entry.secret:
            return
        self.secrets.add(entry.secret)
        await self.now.gateway.hear(entry.secret, approves=approves)
        if told:
            await self.now.bookings.look_now(entry.reference)

    async def _some_booking(self, which: int) -> Booking | None:
        made = [booking for saga in self.begun if (booking := await self.now.booking(saga)) is not None]
        return made[which % len(made)] if made else None

    async def end(self) -> None:
        """Until every saga has ended; the operator retries what is stuck, which also ends what was simulated."""

        async def all_over() -> bool:
            self.clock.advance(2)
            over = True
            for saga in self.begun:
                found = await self.now.view(saga)
                over = over and found.status.is_terminal
                if found.status is SagaStatus.WAITING:
                    self.clock.advance(60)
                if found.status is SagaStatus.STUCK:
                    await self.now.bookings.retry_saga(saga.correlation_id, asked=AN_OPERATOR)
            return over

        await eventually(all_over, 60)
        entries = await self.now.gateway.books.entries()
        for secret in self.secrets | {entry.secret for entry in entries.values()}:
            # Whoever was asked and answers only now is too late.
            await self.now.gateway.hear(secret, approves=True)
        assert all(entry.authorizations <= 1 for entry in (await self.now.gateway.books.entries()).values())

    async def close(self) -> None:
        await self._stack.aclose()
        await self.database.close()


async def live(deeds: Sequence[Any], url: str, folder: Path, books: Path | Server, kind: type[Life] = Life) -> None:
    """Do all of it, let it end, and look at everything."""
    clock = ManualClock()
    life = kind(Database(url, clock=clock), clock, folder)
    try:
        await life.start()
        for deed in deeds:
            await life.do(deed)
        await life.end()
        async with reading(books) as reader:
            found = await examine(life.database, books=reader, sweep=SWEEP)
        amiss: list[Any] = [violation for finding in found.findings for violation in finding.violations]
        assert amiss == []
        statuses = {(await life.now.view(saga)).status for saga in life.begun}
        assert statuses <= {SagaStatus.COMPLETED, SagaStatus.COMPENSATED}
    finally:
        await life.close()


@LIVES
@given(lives)
def test_whatever_happens_on_sqlite_everything_adds_up(sqlite_template: Path, deeds: list[Deed]) -> None:
    with tempfile.TemporaryDirectory(prefix="seatsaga-life-") as name:
        folder = Path(name)
        shutil.copy(sqlite_template, folder / "seatsaga.db")
        asyncio.run(live(deeds, f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}", folder, folder / "sandbox.db"))


@settings(LIVES, max_examples=12)
@given(lives)
def test_whatever_happens_on_postgresql_everything_adds_up(
    postgres_url: URL, postgres_template: str, tmp_path: Path, deeds: list[Deed]
) -> None:
    name = f"life_{uuid.uuid4().hex}"
    asyncio.run(administer(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY'))
    url = postgres_url.set(database=name)
    try:
        asyncio.run(live(deeds, as_text(url), tmp_path, Server(url)))
    finally:
        asyncio.run(administer(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_look_at_everything_would_see_a_violation(database: Database, tmp_path: Path) -> None:
    """What stands between a green run and a blind one."""
    async with world_of(database, tmp_path) as world:
        saga = await world.ended(await world.book(member_number="SS0000001"))
        await database.write(
            lambda connection: connection.exec_driver_sql("UPDATE loyalty_accounts SET balance = balance + 1")
        )
        async with reading(tmp_path / "sandbox.db") as reader:
            found = await examine(database, books=reader, sweep=SWEEP)
        assert saga.status is SagaStatus.COMPLETED
        assert {violation.check for finding in found.findings for violation in finding.violations} != set()
