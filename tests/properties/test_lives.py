"""Random mixes of bookings, words, failures, cancels, lost answers, expiries and crashes; afterwards nothing is amiss.

What is looked at is what the doctor looks at: seats and their owners, balances and entries, the
provider's books, the logs. `pytest --hypothesis-seed=N` repeats a run; a failure prints how to
repeat it alone.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from domain.audit import SweepSchedule, examine
from domain.bookings import Booking, SegmentWish
from domain.bookings.definitions import STEP_BUDGET_SECONDS_MAX
from domain.clock import ManualClock
from domain.events import EventType
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
#: After this much of a hold no card is taken any more; a word that comes a moment later is late.
PAYING_SECONDS = HOLD_SECONDS - 2 * STEP_BUDGET_SECONDS_MAX
#: What the provider refuses only if we ask for it under a wrong key, or in a wrong order.
OUR_FAULTS = {
    "AMOUNT_MISMATCH",
    "IDEMPOTENCY_MISMATCH",
    "INTERNAL",
    "PAYMENT_AUTHORIZED_ALREADY",
    "PAYMENT_NEEDS_HOLDER",
    "PAYMENT_NOT_AUTHORIZED",
}
#: How long a patient customer waits at most until a saga waits, or is over.
PATIENCE_SECONDS = 1.0
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
    """Somebody names a card for held seats, be it asked for or not; as often at once, here or at another replica."""

    which: int
    card: str
    times: int = 1
    elsewhere: bool = False
    is_patient: bool = False


class News(Enum):
    """Who tells us that there is news of a payment."""

    NOBODY = auto()
    PROVIDER = auto()
    CUSTOMER = auto()


@dataclass(frozen=True)
class Answer:
    """The holder of a card answers their bank, if `approves` is not None, and somebody may tell us so."""

    which: int
    approves: bool | None
    told: News
    is_patient: bool = False


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


def words(which: st.SearchStrategy[int]) -> st.SearchStrategy[Deed]:
    """What the customer of one of the sagas does while it waits, or does not."""
    mostly = st.sampled_from([True, True, False])
    often = st.sampled_from([1, 1, 2])
    news = st.sampled_from(News)
    return st.one_of(
        st.builds(Pay, which, cards, times=often, elsewhere=st.booleans(), is_patient=mostly),
        st.builds(Answer, which, approves=mostly, told=news, is_patient=mostly),
        st.builds(Answer, which, approves=mostly | st.none(), told=news, is_patient=mostly),
    )


waits = st.builds(Wait, st.sampled_from([0.01, 1.0, 70.0, PAYING_SECONDS, HOLD_SECONDS + 1.0]))
crashes = st.just(Crash())
of_any = st.integers(0, 30)
of_last = st.just(-1)
deeds = st.one_of(
    books,
    books,
    books,
    words(of_any),
    words(of_any),
    troubles,
    st.builds(CancelSaga, of_any),
    st.builds(CancelBooking, of_any),
    waits,
    crashes,
)
#: Somebody holds seats, and some of what may happen to that until it is over.
holds = st.builds(
    lambda book, rest: [replace(book, pay_later=True, fail_at=()), *rest],
    books,
    st.lists(
        st.one_of(words(of_last), words(of_last), words(of_last), crashes, waits, st.builds(CancelSaga, of_last)),
        min_size=2,
        max_size=6,
    ),
)
alone = deeds.map(lambda deed: [deed])
#: Two holds at least: Hypothesis likes its lists short and alike, and a life without a booking proves nothing.
lives = st.tuples(holds, holds, st.lists(alone | alone | holds, min_size=4, max_size=10)).map(
    lambda parts: [deed for part in (*parts[:2], *parts[2]) for deed in part]
)


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
        self.world = await self._stack.enter_async_context(self.a_world(self.database, alone=alone))

    def a_world(self, database: Database, *, alone: bool = False) -> AbstractAsyncContextManager[World]:
        """A process that serves `database`."""
        return world_of(database, self.folder, alone=alone)

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
            case Pay(which) if self.begun:
                await self._pay(self.begun[which % len(self.begun)], deed)
            case Answer(which) if self.begun:
                await self.answer(self.begun[which % len(self.begun)], deed)
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

    async def _pay(self, saga: SagaView, deed: Pay) -> None:
        async with AsyncExitStack() as stack:
            worlds = [self.now]
            if deed.elsewhere:
                beside = Database(self.database.url, clock=self.clock)
                stack.push_async_callback(beside.close)
                worlds.append(await stack.enter_async_context(self.a_world(beside)))
            if deed.is_patient:
                await self.now.engine.ended(saga.correlation_id, seconds=PATIENCE_SECONDS)
            says = [
                worlds[-1 - number % len(worlds)].bookings.pay_for_hold(
                    saga.correlation_id, deed.card, subject=None, by=AN_OPERATOR.by
                )
                for number in range(deed.times)
            ]
            await asyncio.gather(*says)

    async def answer(self, saga: SagaView, deed: Answer) -> None:
        """With the present secret of the saga's payment, and if none is asked for, with one of before."""
        if deed.is_patient:
            await self.now.engine.ended(saga.correlation_id, seconds=PATIENCE_SECONDS)
        entry = await self.now.entry(saga)
        if entry is not None and entry.secret and deed.approves is not None:
            self.secrets.add(entry.secret)
            await self.now.gateway.hear(entry.secret, approves=deed.approves)
        if deed.told is News.CUSTOMER:
            await self.now.bookings.confirm_card(saga.correlation_id, subject=None)
        elif deed.told is News.PROVIDER and entry is not None:
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
        await self.hear_too_late()

    async def hear_too_late(self) -> None:
        """Whoever was asked and answers only now authorizes nothing."""
        entries = await self.now.gateway.books.entries()
        for secret in self.secrets | {entry.secret for entry in entries.values()}:
            await self.now.gateway.hear(secret, approves=True)
        assert all(entry.authorizations <= 1 for entry in (await self.now.gateway.books.entries()).values())

    async def assert_words_count_once(self) -> None:
        """A word comes only to a step that waits, and a step that has waited begins anew once for each word."""
        for saga in self.begun:
            waiting: str | None = None
            may_begin: dict[str | None, bool] = {}
            for event in await self.now.history(saga):
                match event.type:
                    case EventType.STEP_WAITING:
                        waiting = event.step
                        may_begin[event.step] = False
                    case EventType.STEP_RESUMED:
                        assert waiting == event.step, (saga.correlation_id, event)
                        waiting = None
                        may_begin[event.step] = event.actor is not None
                    case EventType.STEP_STARTED if event.attempt == 1:
                        assert may_begin.pop(event.step, True), (saga.correlation_id, event)
                    case _:
                        pass

    async def judge(self, books: Path | Server | None) -> None:
        """Nothing is amiss, in our database and in the provider's `books`."""
        async with AsyncExitStack() as stack:
            reader = None if books is None else await stack.enter_async_context(reading(books))
            found = await examine(self.database, books=reader, sweep=SWEEP)
        amiss: list[Any] = [violation for finding in found.findings for violation in finding.violations]
        assert amiss == []

    async def close(self) -> None:
        await self._stack.aclose()
        await self.database.close()


async def live(
    deeds: Sequence[Any], url: str, folder: Path, books: Path | Server | None, kind: Callable[..., Life] = Life
) -> None:
    """Do all of it, let it end, and look at everything."""
    clock = ManualClock()
    life = kind(Database(url, clock=clock), clock, folder)
    try:
        await life.start()
        for deed in deeds:
            await life.do(deed)
        await life.end()
        await life.assert_words_count_once()
        await life.judge(books)
        ends = [await life.now.view(saga) for saga in life.begun]
        assert {end.status for end in ends} <= {SagaStatus.COMPLETED, SagaStatus.COMPENSATED}
        assert {end.failure.code for end in ends if end.failure is not None} & OUR_FAULTS == set()
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
