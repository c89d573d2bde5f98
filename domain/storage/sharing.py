"""One read for many who ask at the same time.

A read costs a thread hop or a round trip for each of its statements, however few rows it
brings. So whoever asks while a read is under way goes with the next one, together with all
others who do: under load hundreds share three statements, and a lone one waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.storage.database import Database

__all__ = ["SharedRead"]

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

ASKS_MAX_DEFAULT: Final = 256


class SharedRead(Generic[Ask, Answer]):
    """Answers many asks by one read transaction.

    `answer(connection, asks)` returns as many answers, in order. Guarantee: what is answered
    was read after it was asked for. A fault of the read is raised to all who shared it.
    """

    def __init__(
        self,
        database: Database,
        answer: Callable[[AsyncConnection, Sequence[Ask]], Awaitable[Sequence[Answer]]],
        *,
        asks_max: int = ASKS_MAX_DEFAULT,
    ) -> None:
        self._database = database
        self._answer = answer
        self._asks_max = asks_max
        self._waiting: deque[tuple[Ask, asyncio.Future[Answer]]] = deque()
        self._reading: asyncio.Task[None] | None = None

    async def __call__(self, ask: Ask) -> Answer:
        """The answer to `ask`."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_waiting(), name="shared-read")
        return await future

    async def _read_waiting(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._asks_max))]
            try:
                async with self._database.read() as connection:
                    answers = await self._answer(connection, [ask for ask, _ in group])
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
