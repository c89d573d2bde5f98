"""The lines of the table about a provider's bad day."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench.provider.contestants import DBOS_PYTHON, ROOT, Contestant, Program, code_before, lives
from bench.provider.days import DAYS, Day, Orders, Outcome
from cluster.postgres import PostgresServer

__all__ = ["FULL", "QUICK", "ProviderSize", "measure"]

ROUNDS: Final = 5
ROUND_SECONDS_MAX: Final = 120.0
#: (name, what, value, beside, ratio, wanted, unit)
Add = Callable[[str, str, float, str, float, str, str], None]


class ProviderSize(msgspec.Struct, frozen=True):
    """`share` of the bookings of each day; and of a calm day, so many in each round, and so many alone."""

    share: float
    calm: int
    alone: int


FULL: Final = ProviderSize(share=1.0, calm=2_000, alone=200)
QUICK: Final = ProviderSize(share=0.1, calm=500, alone=50)

Lived = dict[str, dict[str, Outcome]]
"""By day and by contestant."""


def measure(folder: Path, size: ProviderSize, add: Add) -> Lived:
    """All days, group by group, then a calm one."""
    with code_before(folder) as before, _database_for_dbos() as dbos:
        programs = [Program("now", ROOT)]
        if before is not None:
            programs.append(Program("before", before))
        if dbos is not None:
            programs.append(Program("DBOS", ROOT, is_dbos=True, url=dbos))
        found: Lived = {}
        for number, group in enumerate(DAYS):
            found |= asyncio.run(_group(folder / str(number), [_scaled(day, size.share) for day in group], programs))
        for day in (day for group in DAYS for day in group):
            _add_day(_scaled(day, size.share), found[day.name], add)
        if before is not None:
            _add_calm(asyncio.run(_calm(folder / "calm", size, programs[:2])), add)
    return found


@contextmanager
def _database_for_dbos() -> Iterator[str | None]:
    """The URL of a database; None if DBOS is not installed here (make bench installs it)."""
    if not DBOS_PYTHON.exists():
        yield None
        return
    with PostgresServer(durable=True, settings=["max_connections=500"]) as server:
        yield server.database_url("postgres").replace("+asyncpg", "+psycopg")


async def _group(folder: Path, days: list[Day], programs: list[Program]) -> Lived:
    """Each contestant lives each of these days, all at the same time."""
    pairs = [(day, program) for day in days for program in programs]
    outcomes = await asyncio.gather(
        *(lives(program, day, folder / f"{number}-{program.name}") for number, (day, program) in enumerate(pairs))
    )
    found: Lived = {}
    for (day, program), outcome in zip(pairs, outcomes, strict=True):
        found.setdefault(day.name, {})[program.name] = outcome
    return found


def _scaled(day: Day, share: float) -> Day:
    """With fewer bookings, and shorter where it is long, to see that everything works."""
    return msgspec.structs.replace(
        day,
        bookings=max(1, round(day.bookings * share)),
        away_seconds=day.away_seconds * share if day.at_once else day.away_seconds,
        cancellations=round(day.cancellations * share) if day.at_once else day.cancellations,
    )


# ---------------------------------------------------------------------- the lines


def _add_day(day: Day, lived: dict[str, Outcome], add: Add) -> None:
    name = day.name.replace(" ", "_").replace(".", "_")

    def line(key: str, what: str, of: Callable[[Outcome], float], wanted: str, unit: str = "") -> None:
        ours = of(lived["now"])
        others = "; ".join(f"{who} {of(each):,.0f}" for who, each in lived.items() if who != "now")
        before = of(lived["before"]) if "before" in lived else 0.0
        add(f"provider_{name}_{key}", what, ours, others, ours / before if before else 0.0, wanted, unit)

    if day.away_seconds and day.at_once:
        sagas = day.bookings + day.cancellations
        line("calls", f"{day.name}: requests of {sagas} sagas meanwhile", lambda each: each.calls_away, "<= 300")
        line("minutes", "  until all are over, once it is back", lambda each: each.since_back / 60, "<= 2", " min")
        line("open", "  still open", lambda each: each.open, "0")
        line("cancelled", f"  cancelled of {day.cancellations}", lambda each: len(each.cancelled), "all")
    else:
        line("booked", f"{day.name}: booked of {day.bookings}", lambda each: len(each.booked), "all")
        line("seconds", "  until the last", lambda each: each.seconds, "", " s")
        line("calls", "  requests", lambda each: each.calls, "")
        line("limited", "  answered 429, %", lambda each: 100 * each.rate_limited / max(each.calls, 1), "<= 5", " %")
    if day.cancellations and not day.at_once:
        line("cancelled", f"  cancelled meanwhile, of {day.cancellations}", lambda each: len(each.cancelled), "all")
        line("turn", "  until the last of them", lambda each: each.cancelled_seconds, "", " s")
    line("wrong", "  charged and not booked, twice, or not at all", lambda each: each.charged_wrongly, "0")


class _Calm(msgspec.Struct):
    rate: float
    cpu_ms: float
    alone_ms: float


async def _calm(folder: Path, size: ProviderSize, programs: list[Program]) -> dict[str, _Calm]:
    """Medians of a few rounds in turns, with the sandbox and nothing wrong."""
    started: dict[str, Contestant] = {}
    rounds: dict[str, list[_Calm]] = {program.name: [] for program in programs}
    try:
        for program in programs:
            place = folder / program.name
            place.mkdir(parents=True)
            orders = Orders(str(place), {}, size.calm, 0, False, 0.0, calm=True, alone=size.alone)
            started[program.name] = await Contestant.started(program, orders, 1, place)
        for _ in range(ROUNDS):
            for name, contestant in started.items():
                contestant.tell("go")
                rounds[name].append(msgspec.convert(await contestant.says(ROUND_SECONDS_MAX), _Calm))
    finally:
        for contestant in started.values():
            await contestant.end()
    return {
        name: _Calm(
            statistics.median(each.rate for each in found),
            statistics.median(each.cpu_ms for each in found),
            statistics.median(each.alone_ms for each in found),
        )
        for name, found in rounds.items()
    }


def _add_calm(calm: dict[str, _Calm], add: Add) -> None:
    now, before = calm["now"], calm["before"]
    what = "an untroubled day: bookings a second"
    add("provider_calm_rate", what, now.rate, f"before {before.rate:,.0f}", now.rate / before.rate, ">= 0.97", "")
    what, ratio = "  processor time a booking", now.cpu_ms / before.cpu_ms
    add("provider_calm_cpu", what, now.cpu_ms, f"before {before.cpu_ms:.2f}", ratio, "<= 1.03", " ms")
    what = "  one alone, start to COMPLETED, p50"
    ratio = now.alone_ms / before.alone_ms
    add("provider_calm_alone", what, now.alone_ms, f"before {before.alone_ms:.2f}", ratio, "<= 1.03", " ms")
