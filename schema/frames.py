"""Frames for subscribers: each result is rendered once and shared by all subscribers of the same question.

::

    subscriber ─┐                                 ┌─ known: sent without a read, cached for a while
    subscriber ─┼─▶ SharedFrames of one question ─┤
    subscriber ─┘   (text, name, variables, who)  └─ coming: being read; other subscribers wait for it

Five hundred people who watch one saga ask the same question about the same event. A result that
needed a read is shared only by subscribers that wait during the read: no subscriber gets data that
is older than its question.

Those that have seen the same follow one stream (`LiveFrames`), which runs once for all of them: a task for each of
five hundred took most of the time of an event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from graphql import ExecutionResult, GraphQLError

__all__ = ["Follower", "Frame", "LiveFrames", "SharedFrames", "encoded", "encoded_errors", "response_of"]

KNOWN_FRAMES_MAX: Final = 64
#: From so many frames at once on they are a history, and not news.
FRESH_FRAMES_MAX: Final = 64
#: So much sooner than alone a subscriber may be told that its saga does not exist.
NEW_SECONDS_MAX: Final = 1.0


class Frame(NamedTuple):
    """One result: the GraphQL response as JSON; for a saga's event also its sequence and time (microseconds)."""

    body: bytes
    sequence: int | None = None
    at: int | None = None


def response_of(result: ExecutionResult) -> dict[str, Any]:
    """An execution result as a GraphQL response."""
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def encoded(result: ExecutionResult) -> bytes:
    """An execution result as JSON in UTF-8, without a line break."""
    return msgspec.json.encode(response_of(result))


def encoded_errors(errors: Iterable[GraphQLError]) -> bytes:
    """A response without `data`, as nothing was executed, or a subscription ends with these errors."""
    return msgspec.json.encode({"errors": [error.formatted for error in errors]})


class SharedFrames:
    """The bodies of one question's answers, by moment."""

    __slots__ = ("__weakref__", "_coming", "_known", "live")

    def __init__(self) -> None:
        #: The stream that newcomers may follow.
        self.live: LiveFrames | None = None
        self._known: dict[Hashable, bytes] = {}
        self._coming: dict[Hashable, asyncio.Task[bytes]] = {}

    def known(self, moment: Hashable) -> bytes | None:
        """The answer for `moment`, if it needs no read."""
        return self._known.get(moment)

    async def body(
        self,
        moment: Hashable,
        render: Callable[[], ExecutionResult | Awaitable[ExecutionResult]],
        encode: Callable[[ExecutionResult], bytes] = encoded,
    ) -> bytes:
        """The answer for `moment`, which is not known: it is rendered now unless it is coming."""
        coming = self._coming.get(moment)
        if coming is None:
            rendered = render()
            if isinstance(rendered, ExecutionResult):
                return self._keep(moment, encode(rendered))
            coming = asyncio.create_task(self._read(moment, rendered, encode), name="frame")
            self._coming[moment] = coming
        # The first subscriber may leave before the others have their answer.
        return await asyncio.shield(coming)

    def _keep(self, moment: Hashable, body: bytes) -> bytes:
        self._known[moment] = body
        if len(self._known) > KNOWN_FRAMES_MAX:
            del self._known[next(iter(self._known))]
        return body

    async def _read(
        self,
        moment: Hashable,
        rendered: Awaitable[ExecutionResult],
        encode: Callable[[ExecutionResult], bytes],
    ) -> bytes:
        try:
            return encode(await rendered)
        finally:
            del self._coming[moment]


class Follower(Protocol):
    """A subscriber to whom frames are handed as they come."""

    @property
    def is_behind(self) -> bool:
        """Whether its client has not got all of them; once it has, the follower calls `LiveFrames.moved`."""
        ...

    def take(self, frame: Frame | None) -> None:
        """The next frame; None: there is no other. Never waits, never raises."""
        ...


class LiveFrames:
    """One saga's frames, for all followers that have seen the same or more: each ignores what it has seen.

    `frames` runs in a task of its own, until it ends or the last follower leaves. `note`: about its first subscriber.
    """

    __slots__ = ("_began", "_followers", "_fresh", "_moved", "_task", "frames", "is_over", "note", "sequence")

    def __init__(self, frames: AsyncGenerator[Frame, None], sequence: int | None, note: Any) -> None:
        self.frames = frames
        self.note = note
        self.sequence = sequence
        self.is_over = False
        self._began = time.monotonic()
        self._followers: set[Follower] = set()
        self._fresh: list[Frame | None] = []
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="live-frames")

    def continues(self, sequence: int | None) -> bool:
        """Whether a subscriber that was told up to `sequence` (None: nothing yet) misses nothing if it follows now.

        At the beginning only for a moment: a wait for an unknown saga is limited, from its beginning on.
        """
        if self.is_over:
            return False
        if sequence is None:
            return self.sequence is None and time.monotonic() - self._began < NEW_SECONDS_MAX
        return self.sequence is not None and self.sequence <= sequence

    def join(self, follower: Follower) -> None:
        """Hand every further frame to `follower`."""
        self._followers.add(follower)
        self.moved()
        if self.is_over:
            follower.take(None)

    async def leave(self, follower: Follower) -> None:
        """Hand it nothing more. The last one ends the stream, and returns when it has ended."""
        self._followers.discard(follower)
        self.moved()
        if not self._followers:
            self.is_over = True
            self._task.cancel()
            await asyncio.wait([self._task])
            # A task that is cancelled before its first step closes nothing.
            await self.frames.aclose()

    def moved(self) -> None:
        """A follower came, left, or has sent all that it was handed."""
        self._moved.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for frame in self.frames:
                if not self._fresh:
                    loop.call_soon(self._hand_out)
                self._fresh.append(frame)
                if len(self._fresh) >= FRESH_FRAMES_MAX:
                    self._hand_out()
                await self._until_read()
        finally:
            self.is_over = True
            self._fresh.append(None)
            self._hand_out()

    async def _until_read(self) -> None:
        """Wait while every client has yet to read: a long history may come to several at once, or frame by frame.

        One of several holds up nobody.
        """
        while self._followers and all(follower.is_behind for follower in self._followers):
            self._moved.clear()
            await self._moved.wait()

    def _hand_out(self) -> None:
        """Hand all frames that came together to each follower in turn, so that they are one packet."""
        fresh, self._fresh = self._fresh, []
        for frame in fresh:
            self.sequence = (frame and frame.sequence) or self.sequence
        for follower in tuple(self._followers):
            for frame in fresh:
                follower.take(frame)
