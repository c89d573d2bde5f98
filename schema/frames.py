"""Frames for subscribers: each result is rendered once and shared by all subscribers of the same question.

::

    subscriber ─┐                                 ┌─ known: sent without a read, cached for a while
    subscriber ─┼─▶ SharedFrames of one question ─┤
    subscriber ─┘   (text, name, variables, who)  └─ coming: being read; other subscribers wait for it

Five hundred people who watch one saga ask the same question about the same event. A result that
needed a read is shared only by subscribers that wait during the read: no subscriber gets data that
is older than its question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any, Final, NamedTuple

import msgspec
from graphql import ExecutionResult, GraphQLError

__all__ = ["Frame", "SharedFrames", "encoded", "encoded_errors", "response_of"]

KNOWN_FRAMES_MAX: Final = 64


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

    __slots__ = ("__weakref__", "_coming", "_known")

    def __init__(self) -> None:
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
