"""Repeated SIGKILL under load; afterwards every invariant must hold."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from bench.clients import buy_until_cut_off, environment, served
from bench.world import database_file, fill

__all__ = ["Kills", "kills"]

KILLS: Final = 5
CLIENTS: Final = 64
#: How long the load has run when the process is killed; a different moment each time.
LOAD_SECONDS: Final = (1.5, 2.0, 2.7, 1.2, 3.1)
SETTLE_LOOKS_MAX: Final = 600
LOOK_SECONDS: Final = 0.1


class Kills(msgspec.Struct, frozen=True):
    """The number of sagas at the end, the number that a kill found running, and the result of doctor."""

    sagas: int
    interrupted: int
    verdict: str


async def kills(folder: Path) -> Kills:
    """Load, kill, start again, five times on one file; then let everything end and call the doctor."""
    flights = await fill(folder)
    numbers, interrupted = itertools.count(), 0
    for seconds in LOAD_SECONDS[:KILLS]:
        async with served(folder) as server:
            load = asyncio.create_task(buy_until_cut_off(server.port, flights, numbers, CLIENTS))
            await asyncio.sleep(seconds)
            server.process.kill()
            await asyncio.to_thread(server.process.wait)
            await load
        interrupted += _running(folder)
    async with served(folder):
        for _ in range(SETTLE_LOOKS_MAX):
            if not _running(folder):
                break
            await asyncio.sleep(LOOK_SECONDS)
        else:
            raise RuntimeError(f"{_running(folder)} sagas do not end")
    doctor = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", "doctor"],
        env=environment(folder) | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        cwd=os.fspath(Path(__file__).parents[1]),
    )
    if doctor.returncode:
        raise RuntimeError(doctor.stdout + doctor.stderr)
    return Kills(_sagas(folder, "1"), interrupted, doctor.stdout.strip().splitlines()[-1])


def _running(folder: Path) -> int:
    return _sagas(folder, "finished_at IS NULL")


def _sagas(folder: Path, condition: str) -> int:
    connection = sqlite3.connect(database_file(folder), timeout=10)
    try:
        (found,) = connection.execute(f"SELECT count(*) FROM sagas WHERE {condition}").fetchone()
        return int(found)
    finally:
        connection.close()
