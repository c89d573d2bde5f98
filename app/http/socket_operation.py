"""One operation of a socket: starts it, sends its results in order, and reports its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from graphql import OperationType
from starlette.websockets import WebSocketDisconnect

from app.http.connections import Stalled
from app.http.operations import Operation
from app.http.request_id import RequestNote
from app.http.service import OperationService
from app.http.socket_channel import Frame, SocketChannel
from app.http.subscribers import Subscriber
from app.observability.request_lines import asked_in
from domain.errors import SlowConsumerError
from domain.ids import new_id
from schema.context import Viewer
from schema.errors import feed_error
from schema.execution import Execution, Rejected

__all__ = ["SocketOperation"]

_logger = logging.getLogger("seatsaga.socket")


class SocketOperation:
    """Runs in a task of its own from its creation.

    `forget` is called when the client may use its id again. `stalled` is called if the client does not
    read; then the operation is kept, so that the client can be told the sequence to resume from.
    """

    def __init__(
        self,
        operation_id: str,
        operation: Operation,
        viewer: Viewer,
        *,
        service: OperationService,
        channel: SocketChannel,
        note: RequestNote,
        path: str,
        forget: Callable[[str, SocketOperation], None],
        stalled: Callable[[], None],
    ) -> None:
        self.id = operation_id
        self._operation = operation
        self._viewer = viewer
        self._service = service
        self._channel = channel
        self._note = note
        self._path = path
        self._forget = forget
        self._stalled = stalled
        self._subscriber: Subscriber | None = None
        self._task = asyncio.create_task(self._run(), name="operation")

    @property
    def slow(self) -> Frame | None:
        """The SLOW_CONSUMER error with the sequence to resume from; None if the operation is no subscription."""
        if self._subscriber is None:
            return None
        error = feed_error(SlowConsumerError(self._subscriber.sequence)).formatted
        return {"id": self.id, "type": "error", "payload": [error]}

    def cancel(self) -> None:
        """Cancel the operation; its generator is closed."""
        self._task.cancel()

    async def end(self) -> None:
        """Cancel the operation, and return once it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        asked_in.set(self._note)
        status = 200
        try:
            status = await self._answer()
            self._forget(self.id, self)
        except WebSocketDisconnect:
            # The session notices the disconnect itself.
            status = 499
        except Stalled:
            status = 499
            self._stalled()
        except asyncio.CancelledError:
            # Only this task ends. A raised exception would keep all of its frames in memory.
            status = 499
        except Exception:
            status = 500
            await self._fail()
        finally:
            self._service.hear(self._note.finished("WS", self._path, status))

    async def _answer(self) -> int:
        """Send every result, then `complete`. Returns the corresponding HTTP status."""
        execution = self._service.begin(self._operation, self._viewer, self._note)
        if isinstance(execution, Execution) and execution.kind is OperationType.SUBSCRIPTION:
            entered = self._service.subscribers.enter(self._viewer, "websocket")
            if isinstance(entered, Subscriber):
                self._subscriber = entered
                try:
                    await self._send_all(execution)
                finally:
                    self._service.subscribers.leave(entered)
                return 200
            execution = entered
        if isinstance(execution, Rejected):
            self._forget(self.id, self)
            await self._channel.reject(self.id, execution)
            return 400
        await self._send_all(execution)
        return 200

    async def _send_all(self, execution: Execution) -> None:
        """Send every result. The generator is closed in any case."""
        opening = b'{"id":%b,"type":"next","payload":' % msgspec.json.encode(self.id)
        async with aclosing(execution.results()) as frames:
            async for frame in frames:
                await self._channel.send_text(b"%b%b}" % (opening, frame.body))
                if self._subscriber is not None:
                    self._service.subscribers.delivered(self._subscriber, frame)
        # Every other subscriber gets the last event first: the end takes as long as three events.
        await asyncio.sleep(0)
        # Called before `complete` is sent, so that the client can reuse the id at once.
        self._forget(self.id, self)
        await self._channel.send({"id": self.id, "type": "complete"})

    async def _fail(self) -> None:
        error_id = new_id()
        _logger.exception("Operation failed, error %s.", error_id)
        self._forget(self.id, self)
        try:
            await self._channel.refuse(self.id, f"Internal error {error_id}.", "INTERNAL")
        except (Stalled, WebSocketDisconnect):
            _logger.debug("The client disconnected before the last frame was sent.")
