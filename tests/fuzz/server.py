"""`seatsaga serve` with a pulse: for how long its event loop was held, and what memory it has.

Runs as `python -m tests.fuzz.server serve --port N`. On SIGUSR1 it writes its report to the
file that FUZZ_REPORT names, and begins to measure anew. Held is processor time of the loop's own
thread between two beats, so that whatever else the machine does counts for nothing.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from pathlib import Path

import msgspec
from starlette.applications import Starlette

from app.__main__ import main
from app.commands import serve

__all__ = ["Report"]

BEAT_SECONDS = 0.005
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Report(msgspec.Struct):
    """Since the last one: the longest hold of the loop in milliseconds; and the memory in use now, in bytes."""

    held_ms_max: float
    memory_bytes: int


class _Pulse:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._held_max = 0.0

    async def beat(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.thread_time()
            self._held_max = max(self._held_max, now - before)
            before = now

    def report(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        written = self._path.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(Report(self._held_max * 1_000, pages * _PAGE_BYTES)))
        self._held_max = 0.0
        written.rename(self._path)


_serve = serve._serve


async def _serve_with_a_pulse(app: Starlette, server: serve._Server) -> None:
    pulse = _Pulse(Path(os.environ["FUZZ_REPORT"]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, pulse.report)
    beating = asyncio.create_task(pulse.beat())
    await _serve(app, server)
    beating.cancel()


if __name__ == "__main__":
    serve._serve = _serve_with_a_pulse
    main()
