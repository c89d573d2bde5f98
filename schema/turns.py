"""Long operations yield to others: their work is split into short turns of the event loop.

::

    loop:  │ turn: up to TURN_SECONDS of operations │ sockets, timers, health │ turn │ ...
                     tasks that find it used up wait in line ─────────────────▶ a batch of them continues

All operations of a loop share its turns, across all their tasks. The loop runs every ready task before
it polls its sockets again, so a limit for each task would have no effect. Seconds are processor time:
time lost to other processes does not count.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from inspect import iscoroutine
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from graphql import GraphQLOutputType, OperationType
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import AwaitableOrValue, Path, gather_with_cancel
from graphql.type import GraphQLResolveInfo
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

__all__ = ["ExecutorInTurns", "Pace", "Turns"]

#: Less than the 20 ms that a client may have to wait, as one more item may begin at the end of a turn.
TURN_SECONDS: Final = 0.01
#: The number of waiting tasks that are woken at once; each checks the clock again.
WOKEN_MAX: Final = 64
#: A shorter list is completed without a pause. A subscription's frame has at most a flight's seats.
ITEMS_AT_ONCE: Final = 10
ITEMS_OF_A_FRAME_AT_ONCE: Final = 200
T = TypeVar("T")


class Turns:
    """The turns of one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_open = False
        self._ends_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @classmethod
    def here(cls) -> Turns:
        """The turns of the running loop."""
        loop = asyncio.get_running_loop()
        turns = _OF_LOOPS.get(loop)
        if turns is None:
            turns = _OF_LOOPS[loop] = cls(loop)
        return turns

    def are_used_up(self) -> bool:
        """Whether a task must `wait` before it continues. Opens a turn if none is open."""
        if not self._is_open:
            self._open()
        return time.thread_time() >= self._ends_at

    async def wait(self) -> None:
        """Wait for a turn with time left."""
        while self.are_used_up():
            waiter = self._loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def _open(self) -> None:
        self._is_open, self._ends_at = True, time.thread_time() + TURN_SECONDS
        # The loop polls its sockets before it runs a `call_soon` callback.
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        self._is_open = False
        for _ in range(min(len(self._waiting), WOKEN_MAX)):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._waiting:
            # All woken tasks may be cancelled by now; then no other task would wake the rest.
            self._open()


class Pace:
    """The pace of one operation. Its loads start once none of its tasks waits for a turn, so they are one batch."""

    __slots__ = ("_held", "_waiting")

    def __init__(self) -> None:
        self._waiting = 0
        self._held: list[Callable[[], object]] = []

    async def keep(self) -> None:
        """Wait if the turn is used up."""
        turns = Turns.here()
        if not turns.are_used_up():
            return
        self._waiting += 1
        try:
            await turns.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                held, self._held = self._held, []
                for callback in held:
                    self.call_soon(callback)

    def create_future(self) -> asyncio.Future[Any]:
        """As the loop does; a loader uses this object as its loop."""
        return asyncio.get_running_loop().create_future()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """As the loop does, but not while a task of the operation waits."""
        asyncio.get_running_loop().call_soon(self._call, callback)

    def _call(self, callback: Callable[[], object]) -> None:
        if self._waiting:
            self._held.append(callback)
        else:
            callback()


_OF_LOOPS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Turns]] = WeakKeyDictionary()


class ExecutorInTurns(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's execution context; it completes lists and resumes awaited values only while the turn has time."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pace: Pace = getattr(self.context_value, "pace", None) or Pace()

    async def with_abort_signal(self, awaitable: Awaitable[T]) -> T:
        """The awaited value. Abort signals are not used: a client that disconnects cancels the task."""
        try:
            await self.pace.keep()
        except BaseException:
            if iscoroutine(awaitable):
                awaitable.close()
            raise
        value = await awaitable
        await self.pace.keep()
        return value

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        """Completes a short list without a pause, a longer one in turns."""
        items = items if isinstance(items, list | tuple) else list(items)
        is_frame = self.operation.operation is OperationType.SUBSCRIPTION
        if len(items) <= (ITEMS_OF_A_FRAME_AT_ONCE if is_frame else ITEMS_AT_ONCE):
            return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)
        return self._complete_in_turns(item_type, field_details_list, info, path, items, position_context)

    async def _complete_in_turns(
        self,
        item_type: GraphQLOutputType,
        field_details_list: list[FieldDetails],
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> list[Any]:
        """As graphql-core does: all items that need to wait are started before the first is awaited."""
        completed: list[Any] = []
        waiting: list[int] = []
        try:
            for index, item in enumerate(items):
                await self.pace.keep()
                if self.complete_list_item_value(
                    item, completed, item_type, field_details_list, info, path.add_key(index, None), position_context
                ):
                    waiting.append(index)
        except BaseException:
            self.settle_in_background([completed[index] for index in waiting])
            raise
        found = await gather_with_cancel(*(completed[index] for index in waiting))
        for index, value in zip(waiting, found, strict=True):
            completed[index] = value
        return completed
