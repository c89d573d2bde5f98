"""Many who watch one saga over sockets share one stream; each is told every event once, in order, to the end."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.app.whole import Whole, whole
from tests.support.sockets import Socket, open_socket
from tests.support.waiting import eventually

EVENTS = "subscription($id: UUID!, $after: Int!) { sagaEvents(correlationId: $id, after: $after) { sequence } }"
BOOK = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { errors { __typename } } }"
ALL = list(range(1, 11))


@pytest.fixture
async def served(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(sqlite_template, tmp_path) as served:
        yield served


async def book(served: Whole, correlation_id: str, delay_ms: int = 200) -> None:
    wish = {
        "correlationId": correlation_id,
        "segments": [{"flightId": base64.urlsafe_b64encode(b"Flight:1").decode()}],
        "passengers": [{"givenName": "Grace", "familyName": "Hopper"}],
        "simulate": {"delayMs": delay_ms},
    }
    answer = (await served.http.post("/graphql", json={"query": BOOK, "variables": {"input": wish}})).json()
    assert answer["data"]["bookFlight"]["errors"] == [], answer


async def watchers(served: Whole, stack: AsyncExitStack, number: int, **variables: Any) -> list[Socket]:
    found = []
    for _ in range(number):
        socket = await stack.enter_async_context(open_socket(served.served))
        await socket.initialise()
        await socket.subscribe("a", EVENTS, variables=variables)
        found.append(socket)
    return found


async def told(socket: Socket) -> list[int]:
    """The sequences up to `complete`."""
    found = []
    while (frame := await socket.receive())["type"] == "next":
        found.append(frame["payload"]["data"]["sagaEvents"]["sequence"])
    assert frame == {"id": "a", "type": "complete"}
    return found


def readers(served: Whole) -> int:
    return int(served.app.state.backend.services.engine.feed.readers)


async def test_those_who_came_before_the_saga_share_a_reader_and_miss_nothing(served: Whole) -> None:
    correlation_id = str(uuid.uuid4())
    async with AsyncExitStack() as stack:
        sockets = await watchers(served, stack, 5, id=correlation_id, after=0)
        await book(served, correlation_id)
        await eventually(lambda: readers(served))
        assert readers(served) == 1
        assert await asyncio.gather(*map(told, sockets)) == [ALL] * 5
        await eventually(lambda: readers(served) == 0)


async def test_who_comes_later_catches_up_and_joins(served: Whole) -> None:
    correlation_id = str(uuid.uuid4())
    await book(served, correlation_id, 600)
    async with AsyncExitStack() as stack:
        early = await watchers(served, stack, 2, id=correlation_id, after=0)
        first = [(await early[0].receive())["payload"]["data"]["sagaEvents"]["sequence"] for _ in range(4)]
        late = await watchers(served, stack, 3, id=correlation_id, after=0)
        beyond = await watchers(served, stack, 1, id=correlation_id, after=2)
        rest = await asyncio.gather(*map(told, [*early, *late, *beyond]))

    assert first + rest[0] == ALL
    assert rest[1:] == [ALL] * 4 + [ALL[2:]]
    await eventually(lambda: readers(served) == 0)


async def test_the_stream_goes_on_when_the_first_of_them_leaves_and_ends_with_the_last(served: Whole) -> None:
    correlation_id = str(uuid.uuid4())
    await book(served, correlation_id, 1_000)
    async with AsyncExitStack() as stack:
        first, second, third = await watchers(served, stack, 3, id=correlation_id, after=0)
        await first.receive()
        await first.connection.close()
        await second.send(id="a", type="complete")
        assert await told(third) == ALL

    another = str(uuid.uuid4())
    await book(served, another, 5_000)
    async with AsyncExitStack() as stack:
        for socket in await watchers(served, stack, 3, id=another, after=0):
            await socket.receive()
        await eventually(lambda: readers(served))
    await eventually(lambda: readers(served) == 0)
