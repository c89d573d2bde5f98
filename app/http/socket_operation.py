"""One operation of a socket: starts it, sends its results in order, and reports its end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable

import msgspec
from graphql import OperationType
from starlette.websockets import WebSocketDisconnect

from app.http.connections import Stalled
from app.http.operations import Operation
from app.http.request_id import RequestNote
from app.http.service import OperationService
from app.http.socket_channel import Frame as Message
from app.http.socket_channel import SocketChannel
from app.http.subscribers import Subscriber
from app.observability.request_lines import asked_in
from domain.errors import SlowConsumerError
from domain.events import BUFFER_EVENTS_MAX
from domain.ids import new_id
from schema.context import Viewer
from schema.errors import feed_error
from schema.execution import Execution, Rejected
from schema.frames import Frame, LiveFrames, encoded_errors

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
        self._opening = b'{"id":%b,"type":"next","payload":' % msgspec.json.encode(self.id)
        self._subscriber: Subscriber | None = None
        #: What the client has no room for yet; None: the end.
        self._backlog: deque[Frame | None] = deque()
        self._bell = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="operation")

    @property
    def slow(self) -> Message | None:
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
        """Send every result, alone or with all that ask the same. The generator is closed in any case."""
        frames = execution.results()
        live = None
        try:
            live = execution.live(frames, None, self._note) or await self._send_alone(execution, frames)
        finally:
            if live is None:
                await frames.aclose()
        if live is not None:
            await self._follow(live, frames)
        # Every other subscriber gets the last event first: the end takes as long as three events.
        await asyncio.sleep(0)
        # Called before `complete` is sent, so that the client can reuse the id at once.
        self._forget(self.id, self)
        await self._channel.send({"id": self.id, "type": "complete"})

    async def _send_alone(self, execution: Execution, frames: AsyncGenerator[Frame, None]) -> LiveFrames | None:
        """Send the results until they end, or until others have been sent the same and go on together."""
        async for frame in frames:
            await self._send(frame)
            if frame.sequence is not None:
                live = execution.live(frames, frame.sequence, self._note)
                if live is not None:
                    return live
        return None

    async def _follow(self, live: LiveFrames, frames: AsyncGenerator[Frame, None]) -> None:
        """Send what others are sent too. This task sends only what has to wait for the client, in the same order."""
        # Before anything is awaited, so that no frame is handed out meanwhile.
        live.join(self)
        try:
            if live.frames is not frames:
                await frames.aclose()
            while True:
                await self._bell.wait()
                self._bell.clear()
                while self._backlog:
                    frame = self._backlog[0]
                    if frame is None:
                        return
                    await self._send(frame)
                    self._backlog.popleft()
                live.moved()
        finally:
            await live.leave(self)
            if live.note is not self._note:
                self._note.correlation_ids[:] = live.note.correlation_ids

    @property
    def is_behind(self) -> bool:
        """See `Follower`."""
        return bool(self._backlog)

    def take(self, frame: Frame | None) -> None:
        """See `Follower`."""
        if self._task.cancelling() or (frame is not None and not self._is_new(frame)):
            # The client may have begun another operation under this id.
            return
        if frame is not None and not self._backlog and self._channel.send_now(self._text(frame)):
            self._note_delivery(frame)
            return
        if len(self._backlog) < BUFFER_EVENTS_MAX:
            self._backlog.append(frame)
        elif self._backlog[-1] is not None:
            error = feed_error(SlowConsumerError(self._backlog[-1].sequence))
            self._backlog += (Frame(encoded_errors([error])), None)
        self._bell.set()

    def _is_new(self, frame: Frame) -> bool:
        told = None if self._subscriber is None else self._subscriber.sequence
        return told is None or frame.sequence is None or frame.sequence > told

    async def _send(self, frame: Frame) -> None:
        await self._channel.send_text(self._text(frame))
        self._note_delivery(frame)

    def _text(self, frame: Frame) -> bytes:
        return b"%b%b}" % (self._opening, frame.body)

    def _note_delivery(self, frame: Frame) -> None:
        if self._subscriber is not None:
            self._service.subscribers.delivered(self._subscriber, frame)

    async def _fail(self) -> None:
        error_id = new_id()
        _logger.exception("Operation failed, error %s.", error_id)
        self._forget(self.id, self)
        try:
            await self._channel.refuse(self.id, f"Internal error {error_id}.", "INTERNAL")
        except (Stalled, WebSocketDisconnect):
            _logger.debug("The client disconnected before the last frame was sent.")
