"""`make bench`: seatsaga beside a plain loop, in interleaved pairs; one table, and bench/results.json."""

from __future__ import annotations

import argparse
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench import cost, measures, subscribers
from bench.counted import Counted, counted_on
from bench.hoarder import PLAY_SECONDS, hoarder
from bench.kills import kills
from bench.measures import Size
from bench.operators import Night, operators_night
from bench.postgresql import section as postgresql
from bench.postgresql.server import bench_server
from bench.provider import section as provider
from bench.releases import add_release
from bench.waiting import Beside, beside_waiting
from bench.world import database_file, fill

RESULTS: Final = Path(__file__).with_name("results.json")
FULL: Final = Size(
    engine=6_000,
    plain=1_500,
    http=1_500,
    alone=400,
    pairs=3,
    finished=200_000,
    history=1_000_000,
    timetable=300_000,
    memory=20_000,
    share=1.0,
)
QUICK: Final = Size(
    engine=2_000,
    plain=500,
    http=1_000,
    alone=100,
    pairs=2,
    finished=20_000,
    history=20_000,
    timetable=6_000,
    memory=2_000,
    share=0.1,
)
#: Of what long sections measure by themselves, so that a whole run takes less than 20 minutes.
SHARE_OF_A_WHOLE_RUN: Final = 0.25
TITLE: Final = (
    f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, synchronous=FULL (pg: PostgreSQL, fsync=on);"
    " 4-step bookings; sagas/s where no unit is said; medians, and the extremes of the runs' ratios"
)


@dataclass
class Report:
    """The results, as a table for people and as figures."""

    table: Table = field(
        default_factory=lambda: Table(
            "what",
            "value",
            "beside",
            "ratio",
            "runs",
            "wanted",
            title=TITLE,
        )
    )
    figures: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        name: str,
        what: str,
        value: float,
        base: str,
        ratio: float,
        wanted: str,
        unit: str = "",
        *,
        runs: Sequence[float] = (),
    ) -> None:
        """One line. `runs`: the ratio of each pair, or the value of each run; the table shows the extremes."""
        shown = f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
        spread = f"{min(runs):.2f} - {max(runs):.2f}" if len(runs) > 1 else ""
        self.table.add_row(what, f"{shown}{unit}", base, f"{ratio:.2f}" if base else "", spread, wanted)
        self.figures[name] = {"value": round(value, 3), "ratio": round(ratio, 3)}
        if spread:
            self.figures[name]["runs"] = [round(run, 3) for run in runs]


def main() -> None:
    """Measure what is asked for, print the table, write the figures. Exits 1 if a section failed; the others go on."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, to see that everything works")
    parser.add_argument("--release", metavar="NAME", help="only append the last results to bench/history.md as NAME's")
    parser.add_argument("--finished", type=int, help="finished sagas for the measures of growth and of statistics")
    parser.add_argument("--only", choices=sorted(SECTIONS), action="append", help="only these; may be repeated")
    options = parser.parse_args()
    if options.release:
        print(add_release(options.release, RESULTS))
        return
    size = QUICK if options.quick else FULL
    if not options.only and not options.quick:
        part = SHARE_OF_A_WHOLE_RUN
        history, timetable = round(size.history * part), round(size.timetable * part)
        size = msgspec.structs.replace(size, share=part, history=history, timetable=timetable)
    if options.finished:
        size = msgspec.structs.replace(size, finished=options.finished, history=options.finished)
    report = Report()
    failed: list[str] = []
    began = time.monotonic()
    console = Console(width=130)
    for name, section in SECTIONS.items():
        if options.only and name not in options.only:
            continue
        console.print(f"measuring: {name}")
        section_began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="seatsaga-bench-") as folder:
            try:
                section(Path(folder), size, report)
            except Exception:
                console.print_exception()
                failed.append(name)
        console.print(f"  {time.monotonic() - section_began:.0f} s")
    console.print(report.table)
    console.print(f"Python {platform.python_version()}; {(time.monotonic() - began) / 60:.1f} minutes")
    document = {"python": platform.python_version(), "size": size, "figures": report.figures}
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


def _throughput(folder: Path, size: Size, report: Report) -> None:
    """The engine alone, and the whole way over HTTP, each beside the plain loop of the same pair."""
    runs = [uvloop.run(measures.throughput(folder / str(number), size)) for number in range(size.pairs)]

    def median(what: Callable[[measures.Throughput], float]) -> float:
        return statistics.median(what(run) for run in runs)

    plain, beside = median(lambda run: run.plain), "plain loop"
    report.add("plain", "plain sqlite3 loop, one commit a step", plain, "itself", 1.0, "")
    for name, what, wanted in (
        ("engine", "engine alone, 256 in flight", ">= 3.0"),
        ("engine_instant", "  with a provider that answers at once", ""),
        ("http", "HTTP GraphQL until COMPLETED, 64 clients", ">= 1.0"),
        ("http_polled", "  with clients that ask every 100 ms", ">= 0.8"),
        ("http_quiet", "  with logs off", ""),
        ("http_instant", "  with logs off and a provider that answers at once", ""),
    ):

        def rate(run: measures.Throughput, name: str = name) -> float:
            return float(getattr(run, name))

        ratios = [rate(run) / run.plain for run in runs]
        report.add(name, what, median(rate), beside, statistics.median(ratios), wanted, runs=ratios)
    engine = [run.engine_cpu_ms for run in runs]
    http = [run.http_cpu_ms for run in runs]
    what = "processor time a booking, "
    report.add("engine_cpu", f"{what}engine alone", statistics.median(engine), "", 1.0, "", " ms", runs=engine)
    report.add("http_cpu", f"{what}over HTTP", statistics.median(http), "", 1.0, "<= 1.3 ms", " ms", runs=http)


def _latency(folder: Path, size: Size, report: Report) -> None:
    """One booking at a time."""
    pairs = [uvloop.run(measures.latency(folder / str(number), size)) for number in range(size.pairs)]
    engine, ratios = statistics.median(pair[0] for pair in pairs), [mine / plain for mine, plain in pairs]
    what = "one at a time, start to COMPLETED, p50"
    ratio = statistics.median(ratios)
    report.add("one_at_a_time", what, engine * 1e3, "plain loop", ratio, "<= 2", " ms", runs=ratios)


def _hot_flight(folder: Path, size: Size, report: Report) -> None:
    """A thousand buyers of one flight."""
    hot = uvloop.run(measures.hot_flight(folder))
    report.add(
        "hot_flight",
        f"1,000 buyers at once of one flight: {hot.completed} confirmed, {hot.compensated} sold out",
        hot.rate,
        "spread out",
        hot.rate / hot.spread_out,
        ">= 0.5",
    )


def _growth(folder: Path, size: Size, report: Report) -> None:
    """With a file full of flights and finished sagas."""
    grown = uvloop.run(measures.growth(folder, size))
    ratios = [full / empty for empty, full in grown.pairs]
    what = f"engine alone with {size.history:,} finished sagas, {size.timetable:,} flights"
    rate, ratio = statistics.median(full for _, full in grown.pairs), statistics.median(ratios)
    report.add("growth", what, rate, "empty file", ratio, ">= 0.9", runs=ratios)
    whole = sum(grown.file_bytes.values())
    report.add("growth_bytes", "  its file", whole / 1e6, "", 1.0, "", " MB")
    for table, size_bytes in grown.file_bytes.items():
        if size_bytes * 100 >= whole:
            name = f"growth_bytes_{table}"
            report.add(name, f"    {table}, with indexes", size_bytes / 1e6, "the file", size_bytes / whole, "", " MB")


def _memory(folder: Path, size: Size, report: Report) -> None:
    """The server's memory, once warm, and after many more bookings."""
    before, after = uvloop.run(measures.memory(folder, size))
    what = f"server's memory after another {size.memory:,} bookings"
    report.add("memory", what, after / 1024, "once warm", after / before, "<= 1.1", " MiB")


def _kills(folder: Path, size: Size, report: Report) -> None:
    """Killed in the middle of the load."""
    found = uvloop.run(kills(folder))
    what = f"SIGKILL five times under load: {found.interrupted} running when killed; doctor: {found.verdict}"
    report.add("kills", what, found.sagas, "", 1.0, "clean", " sagas")


def _subscribers(folder: Path, size: Size, report: Report) -> None:
    """Subscribers, and what an operation costs, beside Strawberry's own class on the same server."""
    beside = "Strawberry's"
    kept = uvloop.run(subscribers.idle(folder / "idle"))
    for case, wanted in (("one_a_socket", "<= 50 kB"), ("hundred_a_socket", "<= 12 kB")):
        ours, stock = getattr(kept["ours"], case), getattr(kept["stock"], case)
        what = f"an idle subscription, {case.replace('_', ' ')}"
        report.add(f"idle_{case}", what, ours, beside, ours / stock, wanted, " kB")
    fan = uvloop.run(subscribers.fan_out(folder / "fan-out"))
    for asked, ours in fan["ours"].items():
        stock = fan["stock"][asked]
        what = f"commit to {subscribers.SUBSCRIBERS} subscribers, {asked}"
        name = f"fan_out_{asked.replace(' ', '_')}"
        report.add(f"{name}_p50", f"{what}, p50", ours.p50_ms, beside, ours.p50_ms / stock.p50_ms, "", " ms")
        report.add(f"{name}_p99", f"{what}, p99", ours.p99_ms, beside, ours.p99_ms / stock.p99_ms, "<= 50 ms", " ms")
        report.add(
            f"{name}_cpu", "  processor time an event", ours.cpu_ms, beside, ours.cpu_ms / stock.cpu_ms, "<= 0.5", " ms"
        )
    costs = uvloop.run(subscribers.operations(folder / "operations"))
    for case, what in (("cached_ms", "text known"), ("uncached_ms", "text new")):
        ours_ms, stock_ms = getattr(costs["ours"], case), getattr(costs["stock"], case)
        report.add(f"operation_{case}", f"a small query, {what}", ours_ms, beside, ours_ms / stock_ms, "", " ms")


def _postgresql(folder: Path, size: Size, report: Report) -> None:
    """Replicas on PostgreSQL, fsync on, beside a plain loop, DBOS and one another."""
    uvloop.run(
        postgresql.measure(folder, postgresql.QUICK if size.share == QUICK.share else postgresql.FULL, report.add)
    )


def _hoarder(folder: Path, size: Size, report: Report) -> None:
    """One caller with declined cards against those who look for a FIRST seat."""
    free = uvloop.run(hoarder(folder / "free", limited=False))
    limited = uvloop.run(hoarder(folder / "limited", limited=True))
    for name, beside, run, wanted in (
        ("hoarder_unlimited", "itself", free, ""),
        ("hoarder", "no limits", limited, ">= 95 %"),
    ):
        words = "no limits" if run is free else "the limits of auth jwt"
        what = f"a FIRST seat is found beside a hoarder, {words}: {run.begun} begun in {PLAY_SECONDS:g} s"
        report.add(name, what, run.found * 100, beside, run.found / max(free.found, 0.01), wanted, " %")


def _statistics(folder: Path, size: Size, report: Report) -> None:
    """`sagaStatistics` over a long history, on both databases."""

    async def on_postgresql() -> Counted:
        async with bench_server() as server:
            return await counted_on(await server.empty("counted"), finished)

    finished = int(size.finished * size.share)
    for name, measured in (
        ("sqlite", uvloop.run(counted_on(f"sqlite+aiosqlite:///{folder / 'counted.db'}", finished))),
        ("pg", uvloop.run(on_postgresql())),
    ):
        for asked, took in measured.answers_ms.items():
            what = f"{name}: statistics of {asked}, {finished:,} sagas"
            report.add(
                f"statistics_{name}_{asked.replace(' ', '_')}", what, took, "", took / 20, "<= 1 of 20 ms", " ms"
            )
        what = f"{name}: the migration that counts {finished:,} sagas"
        report.add(f"statistics_{name}_migration", what, measured.migration_seconds, "", 1.0, "", " s")


def _operators(folder: Path, size: Size, report: Report) -> None:
    """An operator's looks at many stuck sagas, and a bulk retry of all of them beside bookings, on both databases."""
    stuck, per_second = int(5_000 * size.share), 100

    async def on_sqlite() -> Night:
        await fill(folder)
        return await operators_night(f"sqlite+aiosqlite:///{database_file(folder)}", stuck, per_second=per_second)

    async def on_postgresql() -> Night:
        async with bench_server() as server:
            return await operators_night(await server.copy("operators"), stuck, per_second=per_second)

    for name, night in (("sqlite", uvloop.run(on_sqlite())), ("pg", uvloop.run(on_postgresql()))):
        what = f"{name}: {stuck:,} stuck sagas"
        for key, words, value, wanted in (
            ("incidents", "incidents", night.incidents_ms, "<= 100 ms"),
            ("page", "a page of the list", night.page_ms, ""),
            ("dry_run", "a dry run", night.dry_run_ms, ""),
        ):
            report.add(f"operators_{name}_{key}", f"{what}: {words}, p50", value, "", 1.0, wanted, " ms")
        pace = f"{what}: bulk retry, sagas/s"
        report.add(f"operators_{name}_pace", pace, night.pace, f"{per_second} set", night.pace / per_second, "1")
        beside = f"{what}: bookings/s beside it"
        report.add(f"operators_{name}_beside", beside, night.beside, "without", night.beside / night.alone, ">= 0.8")


def _waiting(folder: Path, size: Size, report: Report) -> None:
    """An engine beside sagas that wait, and beside none, on both databases."""
    number, bookings, words = int(100_000 * size.share), int(4_000 * max(size.share, 0.25)), 300

    async def on_sqlite(name: str, waiting: int) -> Beside:
        await fill(folder / name)
        return await beside_waiting(
            f"sqlite+aiosqlite:///{database_file(folder / name)}", waiting, bookings=bookings, words=words
        )

    async def on_postgresql() -> tuple[Beside, Beside]:
        async with bench_server() as server:
            none, all_ = [
                await beside_waiting(await server.copy(f"waiting_{waiting}"), waiting, bookings=bookings, words=words)
                for waiting in (0, number)
            ]
            return none, all_

    pairs = {
        "sqlite": (uvloop.run(on_sqlite("none", 0)), uvloop.run(on_sqlite("waiting", number))),
        "pg": uvloop.run(on_postgresql()),
    }
    for name, (none, beside) in pairs.items():
        what = f"{name}: beside {number:,} waiting sagas"
        for key, words_, of, wanted, unit in (
            ("rate", "engine alone, sagas/s", "sagas_per_second", ">= 0.9", ""),
            ("start", "a start that takes them over", "start_seconds", "", " s"),
            ("memory", "its memory", "memory_mib", "", " MiB"),
            ("word_p50", "a word is obeyed, p50", "word_ms_p50", "", " ms"),
            ("word_p99", "a word is obeyed, p99", "word_ms_p99", "<= 100 ms", " ms"),
        ):
            value, base = getattr(beside, of), getattr(none, of)
            ratio = value / base if base > 0 else 0.0
            report.add(f"waiting_{name}_{key}", f"{what}: {words_}", value, "none", ratio, wanted, unit)


def _provider(folder: Path, size: Size, report: Report) -> None:
    """A provider's bad day: seatsaga of today, seatsaga of before the guard, and DBOS."""
    given = provider.QUICK if size.share == QUICK.share else msgspec.structs.replace(provider.FULL, share=size.share)
    lived = provider.measure(folder, given, report.add)
    report.figures["provider"] = {
        day: {who: outcome.figures() for who, outcome in outcomes.items()} for day, outcomes in lived.items()
    }


def _cost(folder: Path, size: Size, report: Report) -> None:
    """The processor time of a point of cost, over documents of every shape."""
    found = uvloop.run(cost.measure(folder))
    dearness = sorted(priced.microseconds_a_point for priced in found.values())
    least, most = dearness[0], dearness[-1]
    for name, priced in found.items():
        what = f"{name}: {priced.points:,} points, {priced.answer_bytes:,} bytes"
        each = priced.microseconds_a_point
        report.add(f"cost_{name}", what, each, "cheapest", each / least, "<= 5", " µs a point")
    report.add("cost", "the dearest point", most, "cheapest", most / least, "<= 5", " µs")


SECTIONS: Final[dict[str, Callable[[Path, Size, Report], None]]] = {
    "throughput": _throughput,
    "latency": _latency,
    "hot-flight": _hot_flight,
    "growth": _growth,
    "memory": _memory,
    "kills": _kills,
    "hoarder": _hoarder,
    "subscribers": _subscribers,
    "cost": _cost,
    "statistics": _statistics,
    "waiting": _waiting,
    "operators": _operators,
    "provider": _provider,
    "postgresql": _postgresql,
}

if __name__ == "__main__":
    main()
