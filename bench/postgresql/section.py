"""The lines of the table that are measured on PostgreSQL."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.postgresql.hot_flight import BUYERS_EACH, PROCESSES, hot_flight_on_two
from bench.postgresql.lateness import lateness
from bench.postgresql.server import bench_server
from bench.postgresql.throughput import PostgresSize, Rates, throughput

__all__ = ["FULL", "QUICK", "measure"]

FULL: Final = PostgresSize(engine=4_000, plain=800, dbos=150, rounds=5, followed=60)
QUICK: Final = PostgresSize(engine=1_500, plain=300, dbos=64, rounds=3, followed=12)

#: (name, what, value, beside, ratio, wanted, unit)
Add = Callable[[str, str, float, str, float, str, str], None]


async def measure(folder: Path, size: PostgresSize, add: Add) -> None:
    """All of it against one server, of whose log the last line tells."""
    async with bench_server() as server:
        _add_rates(await throughput(server, size), add)
        hot = await hot_flight_on_two(server, folder)
        what = (
            f"pg: {PROCESSES} processes of {BUYERS_EACH} buyers, two replicas, one flight: {hot.seats} seats sold once"
        )
        add("pg_hot_flight", what, hot.rate, "spread out", hot.rate / hot.spread_out, "", "")
        add("pg_sold_out", "  until the last buyer was refused", hot.seconds * 1e3, "", 1.0, "", " ms")
        hinted = await lateness(server, size.followed, hints=True)
        polled = await lateness(server, size.followed, hints=False)
        for name, late, later in (
            ("p50", hinted.p50_ms, polled.p50_ms),
            ("p99", hinted.p99_ms, polled.p99_ms),
        ):
            what = f"pg: commit to another replica's subscriber, {name}"
            add(f"pg_hints_{name}", what, late, "no hints", late / later, "", " ms")
            add(f"pg_no_hints_{name}", "  without hints", later, "itself", 1.0, "", " ms")
        add("pg_deadlocks", "pg: deadlocks in the server's log", server.deadlocks, "", 1.0, "0", "")


def _add_rates(rates: Rates, add: Add) -> None:
    plain, engine, two = (statistics.median(found) for found in (rates.plain, rates.engine, rates.two))
    what = f"pg: plain asyncpg loop, one fenced commit a step, {rates.connections} connections"
    add("pg_plain", what, plain, "itself", 1.0, "", "")
    add("pg_engine", "pg: one replica's engine, 256 in flight", engine, "plain loop", rates.over("plain"), "3", "")
    if rates.dbos:
        what = f"pg: DBOS, {rates.workflows} workflows at once"
        add("pg_dbos", what, statistics.median(rates.dbos), "plain loop", rates.over("plain", "dbos"), "", "")
        add("pg_engine_dbos", "pg: one replica's engine", engine, "DBOS", rates.over("dbos"), "20", "")
    else:
        add("pg_dbos", "pg: DBOS is not installed here (make bench installs it)", 0, "", 0.0, "", "")
    add("pg_two", "pg: two replicas' engines, 256 in flight each", two, "one", rates.over("engine", "two"), "", "")
