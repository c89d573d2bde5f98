"""Answers that take long, and streams and sockets on which nothing happens for long.

All of them wait at the same time, in `waited`; each test looks at one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import pytest_asyncio

from app.http.connections import TransportLimits
from app.main import KEEP_ALIVE_SECONDS, PING_SECONDS
from tests.proxies.asking import TRANSPORTS, WAIT, book_slowly, client, hold, pay
from tests.support.children import Child
from tests.support.proxies import KINDS, SHIPPED, Kind, Proxy, proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT_SECONDS: Final = 20
#: Longer than our keep-alives, and shorter than IDLE_SECONDS.
SHORT: Final = 12
IDLE_SECONDS: Final = 15
#: Shorter than any keep-alive.
HASTY: Final = 2
#: The timeouts of the shipped files that end an answer, a stream or a socket.
_TIMEOUT: Final = re.compile(
    r"\b(proxy_(?:read|send)_timeout|timeout (?:client|server|tunnel)|response_header_timeout) (\d+)s"
)


def with_timeouts(seconds: int) -> Callable[[str], str]:
    """A shipped file with other timeouts."""
    return lambda text: _TIMEOUT.sub(rf"\1 {seconds}s", text)


@dataclass
class Waited:
    """What came of each."""

    answers: dict[Kind, Any] = field(default_factory=dict)
    hasty: dict[Kind, Any] = field(default_factory=dict)
    idle: dict[tuple[Kind, str], list[str]] = field(default_factory=dict)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waited(server: Child) -> AsyncIterator[Waited]:
    """All that takes long, at once."""
    found = Waited()
    with ExitStack() as stack:

        def front(kind: Kind, edit: Callable[[str], str] | None = None) -> Proxy:
            return stack.enter_context(proxy(kind, [server.port], edit=edit))

        work: list[Coroutine[Any, Any, None]] = []
        for kind in KINDS:
            work.append(_wait(front(kind), kind, found.answers))
            work.append(_wait(front(kind, with_timeouts(HASTY)), kind, found.hasty))
            short = front(kind, with_timeouts(SHORT))
            work += [_idle(short, kind, transport, found.idle) for transport in TRANSPORTS]
        await asyncio.gather(*work)
        yield found


async def _wait(front: Proxy, kind: Kind, answers: dict[Kind, Any]) -> None:
    async with client(front) as http:
        correlation_id = await book_slowly(http)
        variables = {"id": correlation_id, "seconds": WAIT_SECONDS}
        answer = await http.post("/graphql", json={"query": WAIT, "variables": variables})
        answers[kind] = (answer.status_code, answer.json())


async def _idle(front: Proxy, kind: Kind, transport: str, idle: dict[tuple[Kind, str], list[str]]) -> None:
    types = idle[kind, transport] = []
    try:
        async with client(front) as http:
            correlation_id = await hold(http)
            async with aclosing(TRANSPORTS[transport](front, correlation_id)) as events:
                async for event in events:
                    types.append(event["type"])
                    if event["type"] == "STEP_WAITING":
                        await asyncio.sleep(IDLE_SECONDS)
                        await pay(http, correlation_id)
    except Exception as error:
        types.append(repr(error))


async def test_the_longest_wait_is_answered(waited: Waited, kind: Kind) -> None:
    status, body = waited.answers[kind]
    assert status == 200
    assert body["data"]["saga"]["status"] in ("RUNNING", "COMPENSATING")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_idle_stream_outlasts_the_proxys_timeout(waited: Waited, kind: Kind, transport: str) -> None:
    """By keep-alives alone: the timeout of the proxy is shorter here than the time without an event."""
    types = waited.idle[kind, transport]
    assert (types[0], types[-1]) == ("SAGA_STARTED", "SAGA_COMPLETED")


async def test_an_answer_that_the_proxy_gives_up_is_refused_readably(waited: Waited, kind: Kind) -> None:
    """And so it is shown that these timeouts decide."""
    status, body = waited.hasty[kind]
    assert status in (503, 504)
    assert body["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfterSeconds": 1}


async def test_the_shipped_timeouts_are_longer_than_our_keep_alives(kind: Kind) -> None:
    """And the shipped proxies close idle connections to the server before the server does."""
    shipped = SHIPPED[kind].read_text()
    timeouts = [int(seconds) for _, seconds in _TIMEOUT.findall(shipped)]
    assert timeouts
    assert min(timeouts) > max(TransportLimits().heartbeat_seconds, PING_SECONDS, WAIT_SECONDS) * 2
    kept = re.findall(r"\bkeepalive(?:_timeout)? (\d+)s", shipped)
    # HAProxy closes half of them every five seconds.
    assert kind == "haproxy" or [int(seconds) < KEEP_ALIVE_SECONDS for seconds in kept] == [True]
