"""Each contestant runs in a process of its own and starts on command, so that all take turns in the same minute.

::

    bench ──{"bookings": 2000, "in_flight": 256}──▶ contestant      one line a round, on its stdin
          ◀─{"rate": 1823.4}──────────────────────                  one line back; the first says that it is ready

It uses only the standard library, as it also runs where seatsaga is not installed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Contestant", "Round", "contestant", "take_turns"]

ROUND_SECONDS_MAX: Final = 120.0
_LINE_BYTES_MAX: Final = 1 << 24


@dataclass(frozen=True)
class Round:
    """So many bookings, so many at once; `given` is for contestants that need to know more."""

    bookings: int
    in_flight: int
    given: Any = None


class Contestant:
    """A process that waits for its turn."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, bookings: int, in_flight: int, given: Any = None) -> Any:
        """One round; what it came to. Raises RuntimeError where the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(Round(bookings, in_flight, given))).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        """The next line that it says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ROUND_SECONDS_MAX):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contestant has ended with {await self._process.wait()}")
        return json.loads(line)

    async def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def contestant(module: str, *arguments: str, python: Path = Path(sys.executable)) -> AsyncIterator[Contestant]:
    """`python -m module arguments`, ready, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        os.fspath(python),
        "-m",
        module,
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
        cwd=Path(__file__).parents[2],
    )
    runner = Contestant(process)
    try:
        await runner.answer()
        yield runner
    finally:
        await runner.close()


async def take_turns(run: Callable[[Round], Awaitable[Any]]) -> None:
    """In the contestant: say that it is ready, then run round after round until nobody asks any more."""
    _say({})
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        _say(await run(Round(**json.loads(line))))


def _say(answer: Any) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()
