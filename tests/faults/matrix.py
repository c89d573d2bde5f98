"""Every moment at which a process may die, and what came of dying there.

A *rehearsal* lives a scenario through and records its moments. For each of them a case is
played on a database of its own: a first process dies at that moment, a second takes over
and dies too, at one of the moments of its recovery, and a third takes over and ends it all.
Nobody lists the moments: what is rehearsed is what there is.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

import msgspec
from sqlalchemy.engine import URL, make_url

from tests.faults.child import Ending, Life, Moment, Part, Record
from tests.faults.exact import BALANCE, assert_exact, read_facts, told
from tests.faults.scenarios import SCENARIOS
from tests.support.databases import administer, as_text
from tests.witness import Merchant, Witness

__all__ = ["Case", "Matrix", "PostgresqlStore", "Result", "SqliteStore", "Store", "Zygote", "report"]

#: So many cases are played at once: most of a case's time is spent waiting for the backoff of an interrupted call.
LANES: Final = 6
#: How often a case is played until its processes have died where they were to.
TRIES_MAX: Final = 4
#: Recoveries are killed at the first to this-many-th of their moments, one after another.
RECOVERY_MOMENTS_MAX: Final = 10
ENDING_SECONDS_MAX: Final = 60.0
SHOWN_MAX: Final = 5
OUTPUT_CHARACTERS_MAX: Final = 4_000
#: After so many problems the rest is not played: it would take long to say no more.
PROBLEMS_MAX: Final = 24
_KILLED: Final = -9
_ROOT: Final = Path(__file__).parents[2]


# ---------------------------------------------------------------------- processes


class Zygote:
    """The process that forks all lives; see `child`. It ends with its standard input."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.child"], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lock = threading.Lock()
        self._numbers = 0
        self._endings: dict[int, Future[int]] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(ENDING_SECONDS_MAX)
        self._listener.join(ENDING_SECONDS_MAX)
        self._process.stdout.close()

    def live(self, life: Life) -> int:
        """Let a process live `life`; returns its exit code, negative for a signal."""
        ending: Future[int] = Future()
        with self._lock:
            self._numbers += 1
            life = msgspec.structs.replace(life, number=self._numbers)
            self._endings[life.number] = ending
            assert self._process.stdin is not None
            self._process.stdin.write(msgspec.json.encode(life) + b"\n")
            self._process.stdin.flush()
        return ending.result(ENDING_SECONDS_MAX)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            ending = msgspec.json.decode(line, type=Ending)
            with self._lock:
                future = self._endings.pop(ending.number)
            future.set_result(ending.code)
        for future in self._endings.values():
            future.set_exception(RuntimeError("the process that forks all others has ended"))


# ---------------------------------------------------------------------- databases


class Store(Protocol):
    """Where cases get a database of their own from."""

    def template(self) -> URL:
        """The migrated database that is to be filled before anything is taken."""
        ...

    def take(self) -> URL:
        """A database as the template is."""
        ...

    def give_back(self, url: URL, *, ended_well: bool) -> None:
        """It is not needed any more. One on which something did not end well is not used again."""
        ...


class SqliteStore:
    """A file for each case, and the provider's books beside it."""

    def __init__(self, migrated: Path, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template"
        self._template.mkdir()
        shutil.copy(migrated, self._template / "seatsaga.db")

    def template(self) -> URL:
        return make_url(f"sqlite+aiosqlite:///{self._template / 'seatsaga.db'}")

    def take(self) -> URL:
        copy = self._folder / uuid.uuid4().hex
        shutil.copytree(self._template, copy)
        return make_url(f"sqlite+aiosqlite:///{copy / 'seatsaga.db'}")

    def give_back(self, url: URL, *, ended_well: bool) -> None:
        shutil.rmtree(Path(str(url.database)).parent)


class PostgresqlStore:
    """A database for each case, with the provider's books in a schema of their own.

    Copying costs as much as a whole case. So what a case has written is deleted, and the next one gets the database.
    """

    def __init__(self, server: URL, migrated: str, suffix: str = "crash") -> None:
        self._server = server
        self._template = f"{migrated}_{suffix}"
        self._spare: list[URL] = []
        asyncio.run(administer(server, f'CREATE DATABASE "{self._template}" TEMPLATE "{migrated}" STRATEGY FILE_COPY'))

    def template(self) -> URL:
        return self._server.set(database=self._template)

    def take(self) -> URL:
        try:
            return self._spare.pop()
        except IndexError:
            name = f"crash_{uuid.uuid4().hex}"
        asyncio.run(
            administer(self._server, f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY FILE_COPY')
        )
        return self._server.set(database=name)

    def give_back(self, url: URL, *, ended_well: bool) -> None:
        if ended_well:
            asyncio.run(administer(url, _FORGET))
            self._spare.append(url)
        else:
            asyncio.run(administer(self._server, f'DROP DATABASE "{url.database}" WITH (FORCE)'))


#: Everything that sagas write, and so everything that `exact` looks at.
#: The record of operators' actions refuses to lose anything: only as a replica's own session may it be emptied.
_FORGET: Final = f"""
    SET session_replication_role = replica; DELETE FROM operator_actions;
    DELETE FROM saga_events; DELETE FROM saga_labels; DELETE FROM saga_steps; DELETE FROM sagas; DELETE FROM replicas;
    DELETE FROM seat_reservations; DELETE FROM passengers; DELETE FROM payments; DELETE FROM bookings;
    DELETE FROM loyalty_entries WHERE saga_id IS NOT NULL;
    UPDATE loyalty_accounts SET balance = {BALANCE}, pending = 0 WHERE balance <> {BALANCE} OR pending <> 0;
    UPDATE seats SET status = 'AVAILABLE' WHERE status <> 'AVAILABLE';
    DELETE FROM sandbox.entries; DELETE FROM sandbox.answers
"""


# ---------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Case:
    """One scenario, the moment at which its first process dies, and about which moment of its recovery the second.

    `second` counts from 1, round and round where the recovery has fewer moments. A case without
    a `first` is the scenario's rehearsal.
    """

    scenario: int
    first: Moment | None = None
    second: int = 1


@dataclass(frozen=True)
class Result:
    """What a case came to: the moments of its last process, where those before died, and the `problem`, if any."""

    case: Case
    moments: tuple[Moment, ...] = ()
    deaths: tuple[Moment, ...] = ()
    problem: str | None = None

    def __str__(self) -> str:
        died = ", then at ".join(map(str, self.deaths)) or "not at all"
        told_to = f" (it was to die at {self.case.first})" if self.case.first not in (None, *self.deaths) else ""
        return f"{SCENARIOS[self.case.scenario].name!r}, killed {'at ' if self.deaths else ''}{died}{told_to}"


def report(results: Iterable[Result]) -> str:
    """The problems, for a person; empty where there are none."""
    problems = [result for result in results if result.problem is not None]
    shown = "\n\n".join(f"{result}\n{result.problem}" for result in problems[:SHOWN_MAX])
    rest = "\n".join(f"{result}" for result in problems[SHOWN_MAX:])
    return f"{len(problems)} cases did not end as they must\n\n{shown}\n\n{rest}" if problems else ""


class Matrix:
    """All cases on one kind of database; each is played once, whoever asks for it.

    With a `witness` its scenarios are those at Stripe, and each attempt is another merchant's; otherwise the others.
    """

    def __init__(self, store: Store, zygote: Zygote, folder: Path, witness: Witness | None = None) -> None:
        self._witness = witness
        self._store = store
        self._zygote = zygote
        self._folder = folder
        self._numbers = itertools.count()
        self._results: dict[Case, Result] = {}
        self._problems_count = 0
        code, _ = self._live(Part.FILL, 0, store.template(), None, None)
        assert code == 0, self._said(store.template())
        url = store.take()
        code, _ = self._live(Part.WARM, 0, url, None, self._merchant())
        assert code == 0, self._said(url)
        store.give_back(url, ended_well=True)

    def rehearsals(self) -> list[Result]:
        """Each scenario, lived through."""
        return self._play(
            [
                Case(number)
                for number, scenario in enumerate(SCENARIOS)
                if scenario.is_at_stripe == (self._witness is not None)
            ]
        )

    def deaths(self, stride: int) -> list[Result]:
        """Every `stride`-th case."""
        return self._play(self._cases()[::stride])

    def deaths_at(self, point: str) -> list[Result]:
        """The cases whose first process died at `point`; where no first one can, those whose second did."""
        cases = self._cases()
        first = [case for case in cases if case.first is not None and case.first.point == point]
        if first:
            return self._play(first)
        return [result for result in self._play(cases) if any(moment.point == point for moment in result.deaths)]

    # ------------------------------------------------------------------ within

    def _cases(self) -> list[Case]:
        """Each moment of each rehearsal, with another one of the recovery each time."""
        rehearsed = [
            (rehearsal.case.scenario, moment) for rehearsal in self.rehearsals() for moment in rehearsal.moments
        ]
        return [
            Case(scenario, moment, 1 + number % RECOVERY_MOMENTS_MAX)
            for number, (scenario, moment) in enumerate(rehearsed)
        ]

    def _play(self, cases: list[Case]) -> list[Result]:
        new = [case for case in cases if case not in self._results]
        with ThreadPoolExecutor(LANES) as lanes:
            for result in lanes.map(self._play_one, new):
                self._results[result.case] = result
        return [self._results[case] for case in cases]

    def _play_one(self, case: Case) -> Result:
        if self._problems_count >= PROBLEMS_MAX:
            return Result(case, problem="not played, as too much has gone wrong already")
        result = self._until_it_dies(case)
        self._problems_count += result.problem is not None
        return result

    def _until_it_dies(self, case: Case) -> Result:
        """Play the case until each process came to its death. Whether it did or not, all must end exactly."""
        second = case.second
        result = Result(case)
        for _ in range(TRIES_MAX):
            url = self._store.take()
            result = self._attempt(case, second, url)
            for kind in ("txt", "memory"):
                self._beside(url, kind).unlink(missing_ok=True)
            self._store.give_back(url, ended_well=result.problem is None)
            if result.problem is not None or case.first is None or len(result.deaths) == 2:
                return result
            if result.deaths and not result.moments:
                # The first process had nothing left to do, and so has a recovery: no moment to die at.
                return result
            if result.deaths:
                # It had recovered before it came to that: next time it dies sooner.
                second = 1 + (second - 1) % len(result.moments)
            elif not case.first.is_sure or _comes_as_time_will_have_it(case):
                return result
        if _is_one_look_of_several(case):
            return result
        return replace(result, problem=f"what it was to die at did not come in {TRIES_MAX} tries")

    def _attempt(self, case: Case, second: int, url: URL) -> Result:
        deaths: tuple[Moment, ...] = ()
        merchant = self._merchant()
        code = _KILLED
        moments: tuple[Moment, ...] = ()
        for part, death in ((Part.FIRST, case.first), (Part.AGAIN, second), (Part.AGAIN, None)):
            code, moments = self._live(part, case.scenario, url, death, merchant)
            if code != _KILLED or death is None:
                break
            deaths += moments[-1:]
        result = Result(case, moments, deaths)
        if code != 0:
            problem = f"a process ended with {code}: {self._said(url)}\n{told(read_facts(url, merchant))}"
            return replace(result, problem=problem)
        facts = read_facts(url, merchant)
        try:
            assert_exact(facts, SCENARIOS[case.scenario], interrupted=bool(deaths))
            assert self._said(url) == "", "a process had something to complain of"
        except Exception as error:
            # An AssertionError, or whatever comes of rows that are not as they should be.
            return replace(result, problem=f"{_place(error)}: {error!r}\n{told(facts)}\n{self._said(url)}")
        return result

    def _merchant(self) -> Merchant | None:
        return self._witness.merchant() if self._witness is not None else None

    def _live(
        self, part: Part, scenario: int, url: URL, death: Moment | int | None, merchant: Merchant | None
    ) -> tuple[int, tuple[Moment, ...]]:
        """The exit code of one life, and its moments where it ended well or was killed."""
        record = self._folder / f"{next(self._numbers)}.json"
        output, memory = (str(self._beside(url, kind)) for kind in ("txt", "memory"))
        code = self._zygote.live(Life(0, part, scenario, as_text(url), str(record), output, memory, death, merchant))
        if code not in (0, _KILLED):
            return code, ()
        moments = msgspec.json.decode(record.read_bytes(), type=Record).moments
        record.unlink()
        return code, tuple(moments)

    def _beside(self, url: URL, kind: str) -> Path:
        """Where the processes that serve this database write to (txt), or their customer (memory)."""
        return self._folder / f"{uuid.uuid5(uuid.NAMESPACE_URL, as_text(url))}.{kind}"

    def _said(self, url: URL) -> str:
        """What they wrote: a process that has nothing to complain of writes nothing."""
        return self._beside(url, "txt").read_text(errors="replace")[-OUTPUT_CHARACTERS_MAX:]


def _comes_as_time_will_have_it(case: Case) -> bool:
    """Whether its moments depend on when a bank in another process decides."""
    scenario = SCENARIOS[case.scenario]
    return scenario.is_at_stripe and scenario.operate is not None


def _is_one_look_of_several(case: Case) -> bool:
    """Whether a slower rehearsal may have had more of this moment: a saga that waits looks as often as time allows."""
    return SCENARIOS[case.scenario].operate is not None and case.first is not None and case.first.nth > 1


def _place(error: BaseException) -> str:
    """The line that says what is not so."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.name}, line {frame.lineno}, {frame.line}"
