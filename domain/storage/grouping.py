"""Groups requests: those that arrive while a group is served form the next group."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Grouped"]

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


class Grouped(Generic[Ask, Answer]):
    """Serves requests in groups of at most `group_max`, one group after another; a single request does not wait.

    `serve(asks)` returns one answer a request, in order. Guarantee: a request is served after it
    arrived, also if its caller is cancelled. A fault is raised to all requests of its group.
    """

    def __init__(self, serve: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]], *, group_max: int) -> None:
        self._serve = serve
        self._group_max = group_max
        self._waiting: deque[tuple[Ask, asyncio.Future[Answer]]] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def __call__(self, ask: Ask) -> Answer:
        """The answer to `ask`."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve_waiting(), name="grouped")
        return await future

    async def settle(self) -> None:
        """Wait until all requests so far are served."""
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)

    async def _serve_waiting(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group_max))]
            try:
                answers = await self._serve([ask for ask, _ in group])
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
