"""Keeps a guard going: gives places as they come free, and reads what is stored: a pause, the number of replicas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.guard.controls import InvalidReason, ProviderControls
from domain.guard.guard import Guard
from domain.loops import Loop
from domain.storage import Database, trouble_of

__all__ = ["GuardWatch"]

#: An operator's pause, and a replica that comes or goes, are heard of within this time.
HEAR_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
_logger = logging.getLogger("seatsaga.guard")

Count = Callable[[AsyncConnection], Awaitable[int]]


class GuardWatch:
    """Two loops for one `guard`, from `start` to `stop`, and the operators' word on its provider.

    `count_replicas` counts the processes that share its limits.
    """

    def __init__(self, database: Database, guard: Guard, controls: ProviderControls, count_replicas: Count) -> None:
        self._database = database
        self.guard = guard
        self._controls = controls
        self._count_replicas = count_replicas
        self._bell = asyncio.Event()
        self._loops = (
            Loop(
                "guard",
                self._look,
                pause_seconds=guard.pause_seconds,
                on_fault=_tell,
                retry_seconds=RETRY_SECONDS,
                bell=self._bell,
            ),
            Loop("guard-news", self.hear, pause_seconds=HEAR_SECONDS, on_fault=_tell, retry_seconds=RETRY_SECONDS),
        )

    async def start(self) -> None:
        """Hear what is stored before the first call can leave, then keep the guard going."""
        loop = asyncio.get_running_loop()

        def ring() -> None:
            loop.call_soon_threadsafe(self._bell.set)

        self.guard.ring(ring)
        await self.hear()
        for each in self._loops:
            each.start()

    async def stop(self) -> None:
        """Give no places any more."""
        self.guard.ring(lambda: None)
        for each in self._loops:
            await each.stop()

    async def pause(self, asked: Asked) -> InvalidReason | None:
        """See ProviderControls. This replica has obeyed when it returns."""
        answer = await self._controls.pause(asked)
        if isinstance(answer, InvalidReason):
            return answer
        await self.hear()
        return None

    async def resume(self, asked: Asked) -> InvalidReason | None:
        """See ProviderControls. This replica has obeyed when it returns."""
        answer = await self._controls.resume(asked)
        if answer is None:
            await self.hear()
        return answer

    async def hear(self) -> None:
        """Read what is stored, and obey it."""

        async def read(connection: AsyncConnection) -> tuple[str | None, int]:
            pause = await self._controls.pause_of(connection)
            return None if pause is None else pause.reason, await self._count_replicas(connection)

        reason, replicas = await self._database.read(read)
        self.guard.set_replicas(replicas)
        self.guard.set_paused(reason)

    async def _look(self) -> None:
        self.guard.look()


def _tell(error: Exception) -> None:
    trouble = trouble_of(error)
    if trouble is None:
        _logger.error("The guard of the payment provider failed; it goes on.", exc_info=error)
    else:
        _logger.warning("The guard of the payment provider waits for the database: %s.", trouble)
