"""Measures the time of `seatsaga import-flights FILE`, and its effect on concurrent bookings.

::

    python -m bench.imports nyc.csv                                     # a SQLite file in a fresh folder
    python -m bench.imports nyc.csv --url postgresql+asyncpg://.../db   # an empty database

An engine with the bench's timetable books one seat at a time, at a fixed rate, while the command
runs in a process of its own. The latencies are from when a booking was due, so that one that waits
delays nobody's measure; each is from its start to COMPLETED.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from bench.world import Bench, bench_over, database_file, fill_database

BOOKINGS_PER_SECOND: Final = 10


def main() -> None:
    """Measure one import, and print it."""
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", help="an empty PostgreSQL database; a SQLite file where it is left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seatsaga-bench-") as folder:
        url = options.url or f"sqlite+aiosqlite:///{database_file(Path(folder))}"
        uvloop.run(_measure(url, options.file.resolve(), Path(folder)))


async def _measure(url: str, file: Path, folder: Path) -> None:
    await fill_database(url)
    async with bench_over(url) as bench:
        await bench.run(64, 8)
        alone = await _book_until(bench, asyncio.create_task(asyncio.sleep(10)))
        _print("bookings alone", alone)
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app", "import-flights", str(file)),
            env=os.environ | {"SEATSAGA_DATABASE_URL": url, "SEATSAGA_LOG_DIR": str(folder / "logs")},
        )
        peak = asyncio.create_task(_peak_kib(process.pid))
        beside = await _book_until(bench, asyncio.create_task(process.wait()))
        seconds = time.perf_counter() - began
        print(
            f"import of {file.name}: exit code {process.returncode}, {seconds:.0f} s, peak {await peak / 1024:.0f} MiB"
        )
        _print("bookings beside", beside)


async def _book_until(bench: Bench, end: asyncio.Task[object]) -> list[float]:
    """Milliseconds of each booking that was due before `end`."""
    found: list[float] = []
    began, number = time.perf_counter(), 0

    async def book(number: int, due: float) -> None:
        await bench.book(number)
        found.append((time.perf_counter() - due) * 1_000)

    async with asyncio.TaskGroup() as bookings:
        while not end.done():
            due = began + number / BOOKINGS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            bookings.create_task(book(number, due))
            number += 1
    return found


async def _peak_kib(process_id: int) -> int:
    """The most memory that the process, until it ends, has kept resident."""
    peak = 0
    while (now := _resident_max_kib(process_id)) is not None:
        peak = now
        await asyncio.sleep(0.2)
    return peak


def _resident_max_kib(process_id: int) -> int | None:
    """The most memory that the process has kept resident so far; None once it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), None)


def _print(what: str, milliseconds: list[float]) -> None:
    cuts = statistics.quantiles(milliseconds, n=100)
    print(
        f"{what}: {len(milliseconds)}, p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, most {max(milliseconds):.0f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
