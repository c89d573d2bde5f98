"""Background loops: one bounded turn after another, started by time or by a bell.

::

    start ──▶ pause ──▶ turn ──▶ pause ──▶ turn ──▶ ...             stop, or no longer wanted
                ▲        │                  ▲
      bell ─────┘        └── fault: told ───┴── after a longer pause

Time is monotonic. A bell ends a pause early. A ring during a turn is kept for the next pause,
so no ring is lost. A fault never ends a loop: the loop reports it and takes the next turn.

APScheduler runs the jobs, which people pause and set (`app.scheduler`). It has no bell, uses the wall clock, and
sends a job's fault to its own listeners; so it drives none of these loops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["Loop", "rings"]


async def rings(bell: asyncio.Event, seconds: float) -> bool:
    """Wait until `bell` is set, at most this many seconds; return whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return False
    return True


class Loop:
    """Takes a `turn` after each pause, from `start` to `stop`, while it `is_wanted`.

    `pause_seconds` is the longest pause if the bell does not ring; 0 or less means no pause.
    `on_fault` gets the exception of a turn; the next turn comes after `retry_seconds`, which may depend on the number
    of faults in a row.
    `at_once`: there is no pause before the first turn.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], Awaitable[None]],
        *,
        pause_seconds: float | Callable[[], float],
        on_fault: Callable[[Exception], None],
        retry_seconds: float | Callable[[int], float],
        bell: asyncio.Event | None = None,
        at_once: bool = False,
        is_wanted: Callable[[], object] = lambda: True,
    ) -> None:
        self.name = name
        self._turn = turn
        self._pause_seconds = pause_seconds
        self._on_fault = on_fault
        self._retry_seconds = retry_seconds
        self._bell = bell or asyncio.Event()
        self._at_once = at_once
        self._is_wanted = is_wanted
        self._task: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self._succeeded_at = time.monotonic()

    @property
    def is_running(self) -> bool:
        """Whether the loop takes turns."""
        return self._task is not None and not self._task.done()

    @property
    def barren_seconds(self) -> float:
        """Seconds since the last successful turn."""
        return time.monotonic() - self._succeeded_at

    def start(self) -> bool:
        """Begin to take turns; return whether the loop was not running before."""
        if self.is_running:
            return False
        self._succeeded_at = time.monotonic()
        self._is_cancelled = False
        self._task = asyncio.create_task(self._run(), name=self.name)
        return True

    def cancel(self) -> None:
        """Take no more turns and abandon the current one; do not wait for its end."""
        # Only once: a second cancel would interrupt the turn's clean-up. (`cancelling` counts timeouts too, so it does
        # not tell.)
        if self._task is not None and not self._is_cancelled:
            self._is_cancelled = True
            self._task.cancel()

    async def stop(self) -> None:
        """Like `cancel`, but wait until the current turn has ended."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        faults, is_first = 0, True
        # A turn may lose the cancel: a library's timeout, say, takes it for its own. Then the loop ends after the turn.
        while not self._is_cancelled:
            try:
                if faults:
                    retry = self._retry_seconds
                    await asyncio.sleep(retry(faults) if callable(retry) else retry)
                elif not (is_first and self._at_once):
                    await self._pause()
                is_first = False
                if not self._is_wanted():
                    return
                self._bell.clear()
                await self._turn()
            except Exception as error:
                faults += 1
                self._on_fault(error)
            else:
                faults = 0
                self._succeeded_at = time.monotonic()

    async def _pause(self) -> None:
        pause = self._pause_seconds
        seconds = pause() if callable(pause) else pause
        if seconds > 0:
            await rings(self._bell, seconds)
