"""`make cluster`: a PostgreSQL server, three replicas and a proxy at one URL, to try out and to break."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
from rich.console import Console

from app.client import Client
from app.private_files import TOKEN_FILE, keep_token
from cluster.postgres import PostgresServer
from cluster.proxy import proxy_to
from cluster.replicas import Replica, environment, replicas

PORT_DEFAULT: Final = 8000
REPLICAS_DEFAULT: Final = 3
#: Shorter than the default, so that people soon see another replica take over.
LEASE_SECONDS: Final = 5
REPLACE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.2
_DATABASE: Final = "seatsaga"
_FLIGHT: Final = "{ flights(first: 1) { edges { node { id } } } }"
_BOOKING: Final = (
    'mutation { bookFlight(input: { segments: [{ flightId: "%s" }], passengers: [{ givenName: "Ada", '
    'familyName: "Lovelace" }], loyalty: { memberNumber: "SS0000001" }, simulate: { delayMs: 4000 } }) '
    "{ saga { correlationId } errors { __typename ... on UserError { message } } } }"
)
_out = Console(highlight=False, soft_wrap=True, markup=False)


def main() -> None:
    """Run the cluster until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help="where the proxy listens (%(default)s)")
    parser.add_argument("--replicas", type=int, default=REPLICAS_DEFAULT, help="how many (%(default)s)")
    parser.add_argument(
        "--data", type=Path, help="a folder for all data, which is kept; by default data is removed at the end"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="seatsaga-cluster-")))
        # PostgreSQL runs as an ordinary user, who must be able to enter this folder.
        if options.data is None or not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)
        _out.print("PostgreSQL starts.")
        server = stack.enter_context(PostgresServer(durable=True, folder=folder.resolve() / "postgres"))
        asyncio.run(_serve(server, folder.resolve(), options.port, options.replicas))


async def _serve(server: PostgresServer, folder: Path, port: int, number: int) -> None:
    ended = asyncio.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(ending, ended.set)
    url = server.database_url(_DATABASE)
    await _prepare(server, url, folder)
    _out.print(f"{number} replicas start.")
    async with AsyncExitStack() as stack:
        settings = {"admin_token": keep_token(folder), "lease_seconds": LEASE_SECONDS}
        serving = await stack.enter_async_context(replicas(folder, [url] * number, **settings))
        proxy = await stack.enter_async_context(proxy_to(*(replica.port for replica in serving), port=port))
        await _tell(serving, f"http://127.0.0.1:{proxy.port}", url, folder)
        keepers = [asyncio.create_task(_keep(replica)) for replica in serving]
        await ended.wait()
        _out.print("All of it ends.")
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*(asyncio.to_thread(replica.terminate) for replica in serving if replica.runs))


async def _prepare(server: PostgresServer, url: str, folder: Path) -> None:
    """Create the database with its schema and the demo timetable; existing data stays."""
    connection = await asyncpg.connect(server.url.replace("+asyncpg", "", 1))
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE):
            await connection.execute(f"CREATE DATABASE {_DATABASE}")
    finally:
        await connection.close()
    for command in ("migrate", "seed"):
        await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "app", command],
            env=environment(folder, url),
            cwd=folder,
            check=True,
            # Ctrl-C does not reach it; it ends within a few seconds.
            start_new_session=True,
        )


async def _keep(replica: Replica) -> None:
    """Replace the replica's process each time it dies."""
    while True:
        if not replica.runs:
            _out.print(f"{replica.name}, pid {replica.pid}, has died; another follows in {REPLACE_SECONDS:g} s.")
            await asyncio.sleep(REPLACE_SECONDS)
            replica.start()
            _out.print(f"{replica.name} is pid {replica.pid} now.")
        await asyncio.sleep(LOOK_SECONDS)


async def _tell(serving: Sequence[Replica], url: str, database_url: str, folder: Path) -> None:
    """Print the addresses and the commands to try."""
    async with Client(url) as client:
        found: dict[str, Any] = await client.query(_FLIGHT)
    booking = json.dumps({"query": _BOOKING % found["flights"]["edges"][0]["node"]["id"]})
    lines = [
        "",
        f"The cluster serves on {url}/graphql",
        *(f"  {replica.name}  {replica.url}  pid {replica.pid}  logs {replica.folder}/logs" for replica in serving),
        f"  database   {database_url}",
        f"  operators' token, in {folder / TOKEN_FILE}: {keep_token(folder)}",
        "",
        "Book a flight, slowly, and watch its saga; the first command's answer names the correlation ID:",
        f"  curl -s {url}/graphql -H 'Content-Type: application/json' -d {shlex.quote(booking)}",
        f"  .venv/bin/seatsaga watch --url {url} CORRELATION_ID",
        "",
        f"Meanwhile kill a replica: kill -9 {serving[0].pid}; or freeze it and wake it: kill -STOP PID; kill -CONT PID",
        f"The others take its sagas over once its lease of {LEASE_SECONDS} s has lapsed; a process that has died is",
        f"replaced after {REPLACE_SECONDS:g} s. Ctrl-C ends all of it.",
        "",
    ]
    _out.print("\n".join(lines))


if __name__ == "__main__":
    main()
