"""What may come with any request over HTTP/1.1: the offer of another protocol, and fields behind the body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.app.probe import probing
from tests.support.serving import Served

BODY: Final = json.dumps({"query": '{ hello(name: "you") }'}).encode()
START: Final = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
OFFER: Final = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
SIZED: Final = b"Content-Length: %d\r\n\r\n" % len(BODY)
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(BODY), BODY)
LAST: Final = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with probing() as (served, _):
        yield served


async def answers(served: Served, *segments: bytes) -> bytes:
    """All that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        for segment in segments:
            writer.write(segment)
            await writer.drain()
            # What comes next is a segment of its own.
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


REQUESTS: Final = {
    "whole": (START + OFFER + SIZED + BODY, LAST),
    "head first": (START + OFFER + SIZED, BODY, LAST),
    "a body in two": (START + OFFER + SIZED + BODY[:5], BODY[5:], LAST),
    "in chunks": (START + OFFER + CHUNKED + b"\r\n", LAST),
    "with the next request": (START + OFFER + SIZED + BODY + LAST,),
    "twice": (START + OFFER + SIZED + BODY + START + OFFER + SIZED + BODY, LAST),
    "in two fields": (
        START + b"Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: TLS/1.2\r\n" + SIZED + BODY,
        LAST,
    ),
    "and the end": (START + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n" + SIZED + BODY,),
}


@pytest.mark.parametrize("segments", REQUESTS.values(), ids=REQUESTS)
async def test_an_offer_of_another_protocol_is_passed_over_and_the_request_is_answered(
    served: Served, segments: tuple[bytes, ...]
) -> None:
    answer = await answers(served, *segments)
    requests = b"".join(segments)
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"hello you") == requests.count(b"POST")
    assert answer.count(b"HTTP/1.1 404") == requests.count(b"GET")
    assert answer.count(b"HTTP/1.1") == requests.count(b"POST") + requests.count(b"GET")


async def test_fields_behind_the_body_are_not_taken_for_fields_before_it(served: Served) -> None:
    assert b"hello you" in await answers(served, START + CHUNKED + b"Authorization: Bearer x\r\n\r\n" + LAST)
