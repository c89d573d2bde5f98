"""The processes that are killed: a zygote that has imported everything, and forks one for every life.

The zygote has no event loop, no thread and no connection, so what it forks is as good as a
process just started, for a hundredth of the time. Before the first life it has served a few
sagas itself: what is imported and compiled only once it is needed, is there already. It reads one
JSON line a life from its standard input, forks, and writes one when that life has ended, with how. A
life serves one database: it takes over what an earlier one left, asks for what its scenario asks for, and ends
when that is over; or kills itself with SIGKILL, at the moment that it was told.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import selectors
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import make_url

from domain import flights, loyalty, seats
from domain.bookings import Bookings, build_definitions
from domain.clock import ManualClock, wall_now
from domain.saga import CommitPoint, CommitPoints, SagaEngine
from domain.storage import Database, Server, database_file
from sandbox import Books, PostgresBooks, SqliteBooks
from tests.domain.bookings.world import HOLD_SECONDS, departures
from tests.faults.customers import Customer
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.stage import Provider, Sandbox, Script, Stage, Stripe
from tests.support import compiled
from tests.witness import Merchant

__all__ = ["Ending", "Life", "Moment", "OutsidePoint", "Part", "Record", "main"]

#: How long a life may take by its own clock, and when the kernel ends it at last.
LIFE_SECONDS_MAX: Final = 45
_LIFE_SECONDS_AT_LAST: Final = 50
_THREAD_SECONDS_MAX: Final = 5
#: The first process is told of everything, and what it does is the same every time; one that recovers looks around.
_POLL_SECONDS_FIRST: Final = 60.0
_POLL_SECONDS_AGAIN: Final = 0.2


class OutsidePoint(StrEnum):
    """Moments that the engine knows nothing of, as they are the provider's."""

    CALL_AFTER_READ = "CALL_AFTER_READ"
    """The provider was asked how things stand, and nothing was done about it yet."""


class Part(StrEnum):
    """What a life is for."""

    FILL = "FILL"
    """Puts flights and members into a migrated database."""
    WARM = "WARM"
    """Serves a database in the zygote itself, which is not forked for it, and leaves nothing open."""
    FIRST = "FIRST"
    """Serves a database that nobody has served before; what is to go wrong goes wrong."""
    AGAIN = "AGAIN"
    """Takes over what an earlier life left behind."""


class Moment(msgspec.Struct, frozen=True):
    """One moment of a life: the `nth` time, from 1, that it reached this point with these operations under way.

    A turn that names no operation is known by what was named last before it.
    """

    point: str
    names: str
    nth: int

    def __str__(self) -> str:
        return f"{self.point} {self.names or '-'} #{self.nth}"

    @property
    def is_sure(self) -> bool:
        """Whether it comes every time. A turn that finds nothing to do comes as time will have it."""
        return not self.names.startswith("after ")


class Life(msgspec.Struct, frozen=True):
    """What a process is to do, and when it is to die: at a moment, or at its so-many-th moment, from 1, or never.

    It leaves its Record in the file `record`, also where it dies; what it prints goes to `output`. What the customer
    must remember stands in the file `memory`, which all lives of a case share. Its provider is the sandbox, with books
    beside the database, or Stripe, with the books of `merchant`.
    """

    number: int
    part: Part
    scenario: int
    database_url: str
    record: str
    output: str
    memory: str
    death: Moment | int | None = None
    merchant: Merchant | None = None


class Ending(msgspec.Struct, frozen=True):
    """How the life of this number ended: its exit code, negative for a signal."""

    number: int
    code: int


class Record(msgspec.Struct, frozen=True):
    """Every moment of a life, in order; where it died, that is the last."""

    moments: list[Moment]


class Watch:
    """Sees every moment from `begin` on, and dies at the one that its life is to end at."""

    def __init__(self, life: Life) -> None:
        self._moments: list[Moment] = []
        self._record = Path(life.record)
        self._death = life.death
        self._reached: Counter[tuple[str, str]] = Counter()
        self._last = ""
        self._begun = False

    def begin(self) -> None:
        """From now on."""
        self._begun = True

    def reach(self, point: CommitPoint, details: tuple[str, ...]) -> None:
        """The engine's breaker."""
        names = "+".join(sorted(details))
        if point in (CommitPoint.TURN_BEFORE_COMMIT, CommitPoint.TURN_AFTER_COMMIT) and not details:
            names = f"after {self._last or 'nothing'}"
        elif details:
            self._last = names
        self._see(point.value, names)

    def look(self) -> None:
        """The provider was read."""
        self._see(OutsidePoint.CALL_AFTER_READ.value, self._last)

    def _see(self, point: str, names: str) -> None:
        if not self._begun:
            return
        self._reached[point, names] += 1
        moment = Moment(point, names, self._reached[point, names])
        self._moments.append(moment)
        if self._death in (moment, len(self._moments)):
            self.write()
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self) -> None:
        """Leave the record of this life."""
        self._record.write_bytes(msgspec.json.encode(Record(self._moments)))


def _books_of(database_url: str) -> Books:
    """The provider's books beside the database at `database_url`."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        return SqliteBooks(database_file(url).with_name("sandbox.db"))
    return PostgresBooks(Server(url))


# ---------------------------------------------------------------------- one life


async def _live(life: Life) -> None:
    scenario = SCENARIOS[life.scenario]
    watch = Watch(life)
    async with asyncio.timeout(LIFE_SECONDS_MAX):
        match life.part:
            case Part.FILL:
                await _fill(life)
            case Part.WARM:
                raise AssertionError("that is no life")
            case Part.FIRST:
                await _first(life, scenario, watch)
            case Part.AGAIN:
                await _again(life, scenario, watch)
    watch.write()


async def _fill(life: Life) -> None:
    database = Database(life.database_url)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    await database.close()
    books = _books_of(life.database_url)
    await books.open()
    await books.close()


async def _warm(life: Life) -> None:
    for number, scenario in enumerate(SCENARIOS):
        if scenario.is_at_stripe == (life.merchant is not None) and scenario.is_ordinary:
            memory = f"{life.memory}-{number}"
            for part in (Part.FIRST, Part.AGAIN):
                await _live(msgspec.structs.replace(life, scenario=number, part=part, memory=memory))
    # A customer who lets time pass has silenced it.
    logging.getLogger("seatsaga.clock").setLevel(logging.NOTSET)


async def _first(life: Life, scenario: Scenario, watch: Watch) -> None:
    async with _stage(life, watch) as stage:
        await stage.engine.open()
        await scenario.prepare(stage)
        if scenario.disturb is not None:
            scenario.disturb(stage, scenario)
        if isinstance(stage.provider, Stripe):
            await scenario.go_wrong(stage.provider.merchant)
        watch.begin()
        async with _operated(scenario, stage):
            asked = await scenario.ask(stage)
            await _customer(life, scenario, stage).act()
            await stage.ended(asked.id)


async def _again(life: Life, scenario: Scenario, watch: Watch) -> None:
    """Recovers without anyone's help; only then the client asks again, and finds what was."""
    watch.begin()
    async with _stage(life, watch) as stage:
        stage.clock.advance(scenario.seconds_lost)
        customer = _customer(life, scenario, stage)
        await customer.before_anybody_serves()
        await stage.engine.open(alone=True)
        async with _operated(scenario, stage):
            await stage.bookings.release_expired()
            async with stage.database.reading() as connection:
                unfinished = text("SELECT correlation_id FROM sagas WHERE finished_at IS NULL")
                left = (await connection.execute(unfinished)).scalars().all()
            for correlation_id in left:
                await stage.rests(str(correlation_id))
            asked = await scenario.ask(stage)
            await customer.act()
            await stage.ended(asked.id)


def _customer(life: Life, scenario: Scenario, stage: Stage) -> Customer:
    return Customer(stage, scenario.booking, scenario.deeds, Path(life.memory))


@asynccontextmanager
async def _stage(life: Life, watch: Watch) -> AsyncIterator[Stage]:
    clock = ManualClock()
    database = Database(life.database_url, clock=clock)
    script = Script(watch.look)
    provider: Provider = (
        Sandbox(_books_of(life.database_url), script) if life.merchant is None else Stripe(life.merchant, script)
    )
    await provider.start()
    definitions = build_definitions(provider, hold_seconds=HOLD_SECONDS)
    engine = SagaEngine(
        database,
        definitions.all,
        poll_seconds=_POLL_SECONDS_FIRST if life.part is Part.FIRST else _POLL_SECONDS_AGAIN,
        points=CommitPoints(watch.reach),
    )
    bookings = Bookings(engine, definitions, simulation_allowed=True, default_token="pm_card_visa")
    yield Stage(database, clock, provider, engine, bookings)
    await engine.close()
    await provider.close()
    await database.close()


@asynccontextmanager
async def _operated(scenario: Scenario, stage: Stage) -> AsyncIterator[None]:
    """While this lasts, the scenario's operator is at work."""
    if scenario.operate is None:
        yield
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(scenario.operate(stage, scenario))
        yield


# ---------------------------------------------------------------------- the zygote


def main() -> None:
    """Fork a life for every line of the standard input, and tell of every one that has ended."""
    compiled.share()
    lives: dict[int, int] = {}
    awake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    waiting = b""
    # What is imported stays as it is: no life needs to look through it for garbage, and so copy it.
    gc.collect()
    gc.freeze()
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if awake in ready:
                with suppress(BlockingIOError):
                    os.read(awake, 4096)
                _tell_of_the_dead(lives)
            if 0 in ready:
                heard = os.read(0, 65_536)
                if not heard:
                    return
                *lines, waiting = (waiting + heard).split(b"\n")
                for line in lines:
                    life = msgspec.json.decode(line, type=Life)
                    if life.part is Part.WARM:
                        _tell(Ending(life.number, _warm_up(life)))
                        continue
                    pid = os.fork()
                    if pid == 0:
                        selector.close()
                        _be(life)
                    lives[pid] = life.number


def _tell_of_the_dead(lives: dict[int, int]) -> None:
    for pid in list(lives):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            _tell(Ending(lives.pop(pid), os.waitstatus_to_exitcode(status)))


def _tell(ending: Ending) -> None:
    os.write(1, msgspec.json.encode(ending) + b"\n")


def _warm_up(life: Life) -> int:
    """Serve sagas in this process; returns an exit code. Says why in the life's output if it is not 0."""
    open_before = _descriptors()
    try:
        asyncio.run(_warm(life))
        # A driver's thread ends a moment after it has told that its connection is closed.
        for thread in set(threading.enumerate()) - {threading.main_thread()}:
            thread.join(_THREAD_SECONDS_MAX)
        assert threading.active_count() == 1, threading.enumerate()
        assert _descriptors() == open_before, "a descriptor was left open"
        gc.collect()
        gc.freeze()
    except Exception:
        Path(life.output).write_text(traceback.format_exc())
        return 1
    return 0


def _descriptors() -> set[str]:
    return {entry.name for entry in Path("/dev/fd").iterdir()}


def _be(life: Life) -> None:
    """Live `life` in this process, which ends with it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.alarm(_LIFE_SECONDS_AT_LAST)
        output = os.open(life.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        asyncio.run(_live(life))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
