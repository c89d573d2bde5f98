"""One read for many simultaneous requests.

A read costs a thread hop or a round trip for each of its statements, however few rows it returns.
So requests that arrive during a read share the next one: under load hundreds share three
statements, and a single request does not wait for others.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.storage.database import Database
from domain.storage.grouping import Grouped

__all__ = ["SharedRead"]

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

ASKS_MAX_DEFAULT: Final = 256


class SharedRead(Generic[Ask, Answer]):
    """Answers many requests with one read transaction.

    `answer(connection, asks)` returns one answer a request, in order. Guarantee: an answer was read
    after its request arrived. A fault of the read is raised to all requests that shared it.
    """

    def __init__(
        self,
        database: Database,
        answer: Callable[[AsyncConnection, Sequence[Ask]], Coroutine[Any, Any, Sequence[Answer]]],
        *,
        asks_max: int = ASKS_MAX_DEFAULT,
    ) -> None:
        self._database = database
        self._answer = answer
        self._asks = Grouped(self._read, group_max=asks_max)

    async def __call__(self, ask: Ask) -> Answer:
        """The answer to `ask`."""
        return await self._asks(ask)

    async def _read(self, asks: Sequence[Ask]) -> Sequence[Answer]:
        return await self._database.read(lambda connection: self._answer(connection, asks))
