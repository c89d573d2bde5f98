"""The proxy is a network that can be relied on, until it is told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from cluster.processes import free_port
from cluster.proxy import Proxy, proxy_to

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SECONDS_MAX = 5.0


@asynccontextmanager
async def shouting_server() -> AsyncIterator[int]:
    """Answers all of a connection's bytes in capitals, once their end has come; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write((await reader.read()).upper())
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await listener.wait_closed()


async def connect(proxy: Proxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def asked(ends: Ends, what: bytes) -> bytes:
    """What comes back, once we have said all."""
    reader, writer = ends
    try:
        writer.write(what)
        writer.write_eof()
        async with asyncio.timeout(SECONDS_MAX):
            return await reader.read()
    finally:
        writer.close()


async def test_the_end_of_one_way_is_carried_and_the_other_goes_on() -> None:
    async with shouting_server() as port, proxy_to(port) as proxy:
        question = b"half closed" * 100_000
        assert await asked(await connect(proxy), question) == question.upper()


async def test_replicas_take_turns_and_one_that_refuses_is_passed_over() -> None:
    async with shouting_server() as one, shouting_server() as another:
        async with proxy_to(one, free_port(), another) as proxy:
            for _ in range(6):
                assert await asked(await connect(proxy), b"there") == b"THERE"


async def test_nobody_left_is_a_reset() -> None:
    async with proxy_to(free_port()) as proxy:
        with pytest.raises(ConnectionError):
            await asked(await connect(proxy), b"nobody")


async def test_a_black_hole_swallows_all_and_gives_it_back_once_it_is_healed() -> None:
    async with shouting_server() as port, proxy_to(port) as proxy:
        before = await connect(proxy)
        proxy.swallow()
        within = await connect(proxy)
        answers = [asyncio.create_task(asked(ends, b"lost")) for ends in (before, within)]
        # Another connection has come and gone since: had they been answered, it would show.
        async with shouting_server() as other, proxy_to(other) as open_way:
            assert await asked(await connect(open_way), b"found") == b"FOUND"
        assert not any(answer.done() for answer in answers)
        proxy.heal()
        assert await asyncio.gather(*answers) == [b"LOST", b"LOST"]


async def test_a_reset_is_seen_at_once_and_by_new_connections_too() -> None:
    async with shouting_server() as port, proxy_to(port) as proxy:
        before = await connect(proxy)
        proxy.swallow()
        proxy.reset()
        for ends in (before, await connect(proxy)):
            with pytest.raises(ConnectionError):
                await asked(ends, b"reset")
        proxy.heal()
        assert await asked(await connect(proxy), b"healed") == b"HEALED"
