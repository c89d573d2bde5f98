"""Buyers over HTTP, on raw keep-alive connections: the load generator must not be the limit."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.connection import Connection, flight_node
from bench.world import MEMBERS, database_file

__all__ = [
    "Served",
    "book_over_http",
    "buy_until_cut_off",
    "cpu_seconds",
    "environment",
    "resident_kib",
    "served",
]

START_SECONDS_MAX: Final = 30.0
WAIT_SECONDS: Final = 30
_BOOK: Final = (
    "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { correlationId status } errors {"
    " __typename } } }"
)
_STATUS: Final = "query($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) { status } }"


@dataclass(frozen=True)
class Served:
    """A server that is up."""

    port: int
    process: subprocess.Popen[bytes]


def environment(folder: Path, url: str | None = None) -> dict[str, str]:
    """The settings of a process on the database at `url`, or on the file in `folder`, where its logs go."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEATSAGA_")}
    return inherited | {
        "SEATSAGA_DATABASE_URL": url or f"sqlite+aiosqlite:///{database_file(folder)}",
        "SEATSAGA_LOG_DIR": str(folder / "logs"),
        # A generated token is kept beside a database file; with a server it would be in the current folder.
        "SEATSAGA_ADMIN_TOKEN": uuid.uuid4().hex,
    }


@asynccontextmanager
async def served(
    folder: Path, *options: str, module: str = "bench.server", url: str | None = None
) -> AsyncIterator[Served]:
    """A server on the database at `url`, or on the file in `folder`, in a process of its own, until the block ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    with (folder / "console.txt").open("ab") as console:
        command = [sys.executable, "-m", module, str(port), *options]
        process = await asyncio.to_thread(
            subprocess.Popen, command, env=environment(folder, url), stdout=console, stderr=console
        )
    try:
        await _await_answer(port, process)
        yield Served(port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


async def _await_answer(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start") from None
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return


async def book_over_http(
    port: int, flight_ids: list[int], bookings: int, clients: int, *, poll_seconds: float | None = None
) -> float:
    """Sagas a second over `bookings`, each from its mutation until a query answers COMPLETED.

    A client sends a second request that waits for the end; or asks again and again, with `poll_seconds` in between.
    """
    numbers = iter(range(bookings))

    async def buyer() -> None:
        connection = await Connection.to(port)
        for number in numbers:
            await _book(connection, flight_ids[number % len(flight_ids)], number, poll_seconds)
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(buyer() for _ in range(clients)))
    return bookings / (time.perf_counter() - began)


async def buy_until_cut_off(port: int, flight_ids: list[int], numbers: Iterator[int], clients: int) -> None:
    """Book one after another on each of so many connections, until the server is gone."""

    async def buyer() -> None:
        try:
            connection = await Connection.to(port)
            for number in numbers:
                await _book(connection, flight_ids[number % len(flight_ids)], number, None)
        except (OSError, EOFError):
            return

    await asyncio.gather(*(buyer() for _ in range(clients)))


async def _book(connection: Connection, flight_id: int, number: int, poll_seconds: float | None) -> None:
    correlation_id = str(uuid.uuid4())
    answer = await connection.ask(
        _BOOK,
        {
            "input": {
                "correlationId": correlation_id,
                "segments": [{"flightId": flight_node(flight_id)}],
                "passengers": [{"givenName": "Grace", "familyName": "Hopper"}],
                "loyalty": {"memberNumber": f"SS{number % MEMBERS + 1:07d}"},
            }
        },
    )
    if b'"errors":[]' not in answer:
        raise RuntimeError(answer.decode())
    asked = {"id": correlation_id, "seconds": 0 if poll_seconds else WAIT_SECONDS}
    if poll_seconds is not None:
        await asyncio.sleep(poll_seconds)
    while b'"COMPLETED"' not in await connection.ask(_STATUS, asked):
        if poll_seconds is None:
            raise RuntimeError(f"{correlation_id} did not complete")
        await asyncio.sleep(poll_seconds)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """The processor time that the process has taken, in steps of 10 ms."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(process: subprocess.Popen[bytes]) -> int:
    """The memory that the process has in use for itself: without the pages of the file that it has mapped."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1])
