"""Every way in which a Python program follows a saga, each with the same signature, for tests that play them all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

from seatsaga_client import AsyncClient, Client, Timing

from clients import gql_client

__all__ = ["FAMILIES", "Follow", "Follower"]


class Follow(Protocol):
    """Follows a saga on the server at `url`. `token` is called for each connection."""

    def __call__(
        self,
        url: str,
        token: Callable[[], str],
        correlation_id: str,
        after: int,
        timing: Timing,
        options: Mapping[str, Any],
    ) -> AsyncIterator[Mapping[str, Any]]: ...


async def blocking(
    url: str, token: Callable[[], str], correlation_id: str, after: int, timing: Timing, options: Mapping[str, Any]
) -> AsyncIterator[Mapping[str, Any]]:
    """seatsaga_client.Client, in a thread of its own."""
    loop, events = asyncio.get_running_loop(), asyncio.Queue[Any]()

    def put(item: object) -> None:
        loop.call_soon_threadsafe(events.put_nowait, item)

    def follow() -> None:
        try:
            with Client(url, token, timing=timing) as client:
                for event in client.follow(correlation_id, after, **options):
                    put(event)
            put(None)
        except Exception as error:
            put(error)

    threading.Thread(target=follow, daemon=True).start()
    while (item := await events.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item


async def asynchronous(
    url: str, token: Callable[[], str], correlation_id: str, after: int, timing: Timing, options: Mapping[str, Any]
) -> AsyncIterator[Mapping[str, Any]]:
    """seatsaga_client.AsyncClient."""
    async with AsyncClient(url, token, timing=timing) as client:
        async for event in client.follow(correlation_id, after, **options):
            yield event


def gql_websocket(
    url: str, token: Callable[[], str], correlation_id: str, after: int, timing: Timing, options: Mapping[str, Any]
) -> AsyncIterator[Mapping[str, Any]]:
    """gql over a WebSocket."""
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    return gql_client.follow(
        lambda: gql_client.over_websocket(address, token(), timing.silence),
        correlation_id,
        after,
        timing=timing,
        **options,
    )


def gql_multipart(
    url: str, token: Callable[[], str], correlation_id: str, after: int, timing: Timing, options: Mapping[str, Any]
) -> AsyncIterator[Mapping[str, Any]]:
    """gql over HTTP, multipart."""
    return gql_client.follow(
        lambda: gql_client.over_http(f"{url}/graphql", token(), timing.silence),
        correlation_id,
        after,
        timing=timing,
        **options,
    )


FAMILIES: Final[Mapping[str, Follow]] = {
    "seatsaga-client": blocking,
    "seatsaga-client, asyncio": asynchronous,
    "gql, WebSocket": gql_websocket,
    "gql, multipart": gql_multipart,
}


class Follower:
    """One family that follows one saga, in a task. `events`, `lost`: what came, and the codes of the losses so far."""

    def __init__(
        self,
        follow: Follow,
        url: str,
        token: Callable[[], str],
        correlation_id: str,
        *,
        after: int = 0,
        timing: Timing,
        **options: Any,
    ) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.lost: list[str] = []

        def hear(status: Any) -> None:
            if status.state == "lost":
                self.lost.append(status.error.code)

        async def read() -> None:
            async for event in follow(url, token, correlation_id, after, timing, {**options, "on_status": hear}):
                self.events.append(event)

        self.task = asyncio.create_task(read())

    @property
    def sequences(self) -> list[int]:
        """In the order in which they came."""
        return [event["sequence"] for event in self.events]

    async def has(self, kind: str) -> None:
        """Return once an event of this type has come; raises what ended the family before."""
        while not any(event["type"] == kind for event in self.events):
            if self.task.done():
                self.task.result()
                raise AssertionError(f"it ended after {self.events}")
            await asyncio.sleep(0.01)
