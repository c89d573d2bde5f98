"""`make bench`: the engine alone beside a plain loop, in interleaved pairs; one table, and bench/results.json."""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench.plain import run_plain_loop
from bench.world import Bench, bench_on

RESULTS: Final = Path(__file__).with_name("results.json")
IN_FLIGHT: Final = 256


async def engine_alone(folder: Path, bookings: int) -> tuple[float, list[int]]:
    """Seconds for `bookings` on a fresh file, once warm; and the flights that are left for the plain loop."""
    async with bench_on(folder) as bench:
        await _warm(bench)
        return await bench.run(bookings, IN_FLIGHT), bench.flight_ids


async def _warm(bench: Bench) -> None:
    await bench.run(IN_FLIGHT * 2, IN_FLIGHT)


def pair(bookings: int) -> tuple[float, float]:
    """Sagas a second of the engine and of the plain loop, one right after the other, on the same disk."""
    with tempfile.TemporaryDirectory(prefix="seatsaga-bench-") as name:
        folder = Path(name)
        seconds, flight_ids = uvloop.run(engine_alone(folder, bookings))
        plain_bookings = max(200, bookings // 4)
        plain_seconds = run_plain_loop(folder / "seatsaga.db", flight_ids, plain_bookings)
    return bookings / seconds, plain_bookings / plain_seconds


def main() -> None:
    """Run the pairs and print their medians."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--bookings", type=int, default=6_000, help="bookings in each run of the engine")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs of engine and plain loop")
    options = parser.parse_args()
    pairs = [pair(options.bookings) for _ in range(options.pairs)]
    engine = statistics.median(rate for rate, _ in pairs)
    plain = statistics.median(rate for _, rate in pairs)
    ratio = statistics.median(rate / base for rate, base in pairs)
    table = Table("what", "sagas/s", "ratio", title="SQLite, synchronous=FULL, 4-step bookings, medians of pairs")
    table.add_row("plain sqlite3 loop, one commit a step", f"{plain:,.0f}", "1.00")
    table.add_row(f"engine alone, {IN_FLIGHT} in flight", f"{engine:,.0f}", f"{ratio:.2f}")
    Console(width=100).print(table)
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "bookings": options.bookings,
        "inFlight": IN_FLIGHT,
        "pairs": [
            {"engine": round(rate), "plain": round(base), "ratio": round(rate / base, 2)} for rate, base in pairs
        ],
        "engineSagasPerSecond": round(engine),
        "plainSagasPerSecond": round(plain),
        "ratio": round(ratio, 2),
    }
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


if __name__ == "__main__":
    main()
