"""Starts the contestants, each in a process of its own with a witness of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.provider.days import Day, Orders, Outcome
from tests.support.faketime import SLEEP, library
from tests.witness import Merchant, Witness

__all__ = ["BEFORE", "DBOS_PYTHON", "ROOT", "Contestant", "Program", "code_before", "lives"]

#: The last commit without a guard.
BEFORE: Final = "a5278bf"
ROOT: Final = Path(__file__).parents[2]
_PROGRAM: Final = Path(__file__).with_name("contestant.py")
DBOS_PYTHON: Final = ROOT / ".venv-dbos" / "bin" / "python"
READY_SECONDS_MAX: Final = 120.0
_LINE_BYTES_MAX: Final = 1 << 22


class Program(msgspec.Struct, frozen=True):
    """Somebody who books: seatsaga from the packages in `root`, or DBOS."""

    name: str
    root: Path
    is_dbos: bool = False
    url: str = ""
    """Of an empty PostgreSQL database, for DBOS."""


class Contestant:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, program: Program, orders: Orders, speed: int, folder: Path) -> Contestant:
        """A process that has done all that comes before the day."""
        given = msgspec.json.encode(orders).decode()
        command = [sys.executable, str(_PROGRAM), given]
        environment = {**os.environ, "PYTHONPATH": str(program.root), "PYTHONDONTWRITEBYTECODE": "1"}
        if program.is_dbos:
            command = [str(DBOS_PYTHON), "-m", "bench.dbos.bad_day", program.url, str(speed), given]
        elif speed > 1:
            environment |= _hurried(folder, program.root, speed)
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=program.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
        )
        found = cls(process)
        await found.says(READY_SECONDS_MAX)
        return found

    def tell(self, word: str) -> None:
        """One line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())

    async def says(self, seconds_max: float) -> Any:
        """Its next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds_max):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contestant has ended with {await self._process.wait()}")
        return json.loads(line)

    async def end(self) -> None:
        """It is not needed any more."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def lives(program: Program, day: Day, folder: Path) -> Outcome:
    """How `program` lives through `day`."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with Witness.running() as witness:
        merchant = witness.merchant()
        settings = {"payments": "stripe", "stripe_api_key": merchant.api_key, "stripe_api_base": witness.url}
        orders = Orders(str(folder), settings, day.bookings, day.cancellations, day.at_once, day.seconds_max)
        contestant = await Contestant.started(program, orders, day.speed, folder)
        try:
            calls_before = (await merchant.books()).calls
            await day.begin(merchant)
            back_at = 0.0
            if day.away_seconds:
                await witness.go_away()
            contestant.tell("go")
            if day.away_seconds:
                await asyncio.sleep(day.away_seconds / day.speed)
                await witness.come_back()
                back_at = time.monotonic()
                contestant.tell("back")
            found = msgspec.convert(await contestant.says(day.seconds_max / day.speed + 60), Outcome)
            since_back = (time.monotonic() - back_at) * day.speed if back_at else 0.0
            return await _judged(msgspec.structs.replace(found, since_back=since_back), merchant, calls_before)
        finally:
            await contestant.end()


async def _judged(found: Outcome, merchant: Merchant, before: Any) -> Outcome:
    """With what the provider's books say."""
    books = await merchant.books()
    kept = Counter(payment.correlation_id for payment in books.payments if payment.kept > 0)
    wrong = sum(kept[saga] != 1 for saga in found.booked)
    wrong += sum(kept[saga] != 0 for saga in (*found.undone, *found.cancelled))
    return msgspec.structs.replace(
        found, rate_limited=books.calls.rate_limited - before.rate_limited, charged_wrongly=wrong
    )


def _hurried(folder: Path, root: Path, speed: int) -> dict[str, str]:
    """All clocks of the process run so much faster, and what it waits for is as much shorter."""
    patch = folder / "faketime"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(SLEEP)
    return {
        "LD_PRELOAD": str(library()),
        "PYTHONPATH": f"{patch}:{root}",
        "FAKETIME": f"+0 x{speed}",
        "FAKETIME_NO_CACHE": "1",
        # As in tests.support.faketime: threads would spin.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "NO_FAKE_STAT": "1",
    }


@contextmanager
def code_before(folder: Path) -> Iterator[Path | None]:
    """The packages of the last commit without a guard; None where they cannot be had, as in an unpacked archive."""
    place = folder / "code-before"
    made = _git("worktree", "add", "--detach", str(place), BEFORE)
    try:
        yield place if made else None
    finally:
        if made:
            _git("worktree", "remove", "--force", str(place))
            shutil.rmtree(place, ignore_errors=True)


def _git(*arguments: str) -> bool:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False
