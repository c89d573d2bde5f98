"""A client that breaks the protocol of WebSockets loses its socket, with the code of RFC 6455; nothing else happens.

A real server is looked at from outside: what it answers, what it logs, how large it gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.app.test_stampede import resident_kib
from tests.support.children import Child, environment, serving_child
from tests.support.raw import frame, frames_of, handshake, masked
from tests.support.waiting import eventually

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PINGS: Final = 3 * masked({"type": "ping"})
INIT: Final = masked({"type": "connection_init"})
SECONDS_MAX: Final = 10
FAULTS: Final[dict[str, tuple[bytes, int]]] = {
    "text that is no UTF-8": (frame(TEXT, b"\xff"), 1007),
    "the same twice": (2 * frame(TEXT, b"\xff"), 1007),
    "the same and a ping": (frame(TEXT, b"\xff") + frame(PING), 1007),
    "the same in fragments": (frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"("), 1007),
    "a close of no such code": (frame(CLOSE, b"\x03\xe7"), 1002),
    "a close of half a code": (frame(CLOSE, b"\x03"), 1002),
    "a close for a reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a close within a message": (frame(TEXT, b"{", fin=False) + frame(CLOSE, b"\x03\xe8"), 1002),
    "a close that is too long": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "a reserved opcode": (frame(3), 1002),
    "a reserved control opcode": (frame(11), 1002),
    "a reserved bit": (frame(TEXT, b"{}", rsv=4), 1002),
    "a reserved bit of a ping": (frame(PING, rsv=1), 1002),
    "a ping that is too long": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, fin=False), 1002),
    "no mask": (frame(TEXT, b"{}", mask=False), 1002),
    "a continuation of nothing": (frame(CONT, b"{}"), 1002),
    "a message within a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "a length without end": (b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009),
    "fragments without end": (frame(TEXT, b"x" * 4_000, fin=False) + frame(CONT, b"x" * 4_000, fin=False), 1009),
    "text after a close": (frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"{"), 1000),
}
REQUESTS: Final[dict[str, tuple[bytes, int]]] = {
    "a field that is too long": (b"Cookie: " + b"x" * 9_000 + b"\r\n", 431),
    "too many fields": (b"".join(b"X-%d: y\r\n" % number for number in range(200)), 400),
    "a body that does not come": (b"Content-Length: 9\r\n", 400),
    "a second key": (b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400),
    "two origins": (b"Origin: http://a\r\nOrigin: http://b\r\n", 400),
}


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("faults")
    with asyncio.Runner() as runner:
        serving = serving_child(folder, environment(folder))
        yield runner.run(serving.__aenter__())
        runner.run(serving.__aexit__(None, None, None))


@pytest.fixture(autouse=True)
def no_fault_of_the_server(child: Child) -> Iterator[None]:
    yield
    said = child.output.read_text(errors="replace")
    assert "Traceback" not in said
    assert " ERROR " not in said


@asynccontextmanager
async def sending(child: Child, data: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", child.port)
    try:
        writer.write(data)
        yield reader
    finally:
        writer.transport.abort()


async def end_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The code that the socket was closed with, and the opcodes of what came before."""
    async with asyncio.timeout(SECONDS_MAX):
        *others, (opcode, payload) = frames_of(await reader.read())
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big"), bytes(opcode for opcode, _ in others)


@pytest.mark.parametrize("pings", [b"", PINGS, 3 * frame(PING, b"a")], ids=["alone", "after messages", "after pings"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_closes_its_socket_with_its_code(child: Child, fault: str, pings: bytes) -> None:
    data, code = FAULTS[fault]
    async with sending(child, handshake()) as reader:
        await reader.readuntil(b"\r\n\r\n")
    async with sending(child, handshake() + pings + data) as reader:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101"), "nothing is said before the handshake"
        assert (await end_of(reader))[0] == code


@pytest.mark.parametrize("fault", FAULTS)
async def test_also_after_the_acknowledgement(child: Child, fault: str) -> None:
    data, code = FAULTS[fault]
    if fault == "fragments without end":
        data = frame(TEXT, b"x" * 900_000, fin=False) + frame(CONT, b"x" * 900_000, fin=False)
    async with sending(child, handshake() + INIT) as reader:
        await reader.readuntil(b'connection_ack"}')
    async with sending(child, handshake() + INIT + PINGS + data) as reader:
        await reader.readuntil(b"\r\n\r\n")
        assert (await end_of(reader))[0] == code


async def test_frames_that_come_with_the_request_are_not_lost(child: Child) -> None:
    async with sending(child, handshake() + INIT + PINGS) as reader, asyncio.timeout(SECONDS_MAX):
        for _ in range(3):
            await reader.readuntil(b"pong")


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_handshake_that_is_none_is_refused_and_the_connection_ends(child: Child, kind: str) -> None:
    fields, status = REQUESTS[kind]
    async with sending(child, handshake()[:-2] + fields + b"\r\n") as reader, asyncio.timeout(SECONDS_MAX):
        assert (await reader.read()).startswith(b"HTTP/1.1 %d" % status)


# ---------------------------------------------------------------------- memory

SOCKETS: Final = 150
PARTIAL: Final = b"\x81\xff" + (1_000_000).to_bytes(8, "big") + b"mask" + b"x" * 900_000


@asynccontextmanager
async def crowd(child: Child, data: bytes) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """So many sockets that each send `data`, as far as the server takes it."""
    pairs = [await asyncio.open_connection("127.0.0.1", child.port) for _ in range(SOCKETS)]
    try:
        for _, writer in pairs:
            writer.write(handshake())
        for reader, writer in pairs:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
        yield pairs
    finally:
        for _, writer in pairs:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("data", "growth_kib_max"),
    [
        (PARTIAL, 12_000),
        (frame(TEXT, b"{", fin=False) + 150_000 * frame(CONT), 12_000),
        (30_000 * masked({"type": "ping"}), 24_000),
        (3_000 * frame(PING, b"x" * 125), 24_000),
    ],
    ids=["frames", "empty fragments", "messages", "pings"],
)
async def test_whoever_has_not_said_who_it_is_takes_up_next_to_nothing(
    child: Child, data: bytes, growth_kib_max: int
) -> None:
    async with sending(child, handshake() + INIT) as reader:
        await reader.readuntil(b'connection_ack"}')
    before, most = resident_kib(child), 0
    async with crowd(child, data):
        for _ in range(20):
            most = max(most, resident_kib(child))
            await asyncio.sleep(0.05)
    assert most - before < growth_kib_max


async def test_all_partial_messages_together_take_up_no_more_than_their_budget(child: Child) -> None:
    before = resident_kib(child)
    async with crowd(child, INIT) as pairs:
        for reader, writer in pairs:
            await reader.readuntil(b'connection_ack"}')
            writer.write(PARTIAL)

        ends = [asyncio.create_task(end_of(reader)) for reader, _ in pairs]
        await eventually(lambda: sum(end.done() for end in ends) > SOCKETS / 3)
        assert resident_kib(child) - before < 120_000
        assert {end.result()[0] for end in ends if end.done()} == {1013}
        # Another's message of more than a frame's free bytes comes through all the same.
        large = {"type": "ping", "payload": {"filling": "x" * 100_000}}
        reader, writer = await asyncio.open_connection("127.0.0.1", child.port)
        writer.write(handshake() + INIT)
        await reader.readuntil(b'connection_ack"}')
        writer.write(masked(large))
        async with asyncio.timeout(SECONDS_MAX):
            await reader.readuntil(b"x" * 1_000)
        writer.transport.abort()
        for end in ends:
            end.cancel()
