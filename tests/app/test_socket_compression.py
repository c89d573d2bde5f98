"""Sockets compress if the server is started so and the client offers it; every limit holds after decompression."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from websockets.extensions.permessage_deflate import PerMessageDeflate

from tests.app.whole import Whole, whole
from tests.support.sockets import Socket, open_socket

INIT_BYTES_MAX: Final = 4_096
FRAME_BYTES_MAX: Final = 1_048_576
NAMES: Final = "{ __schema { types { name fields { name } } } }"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compressing(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    folder = tmp_path_factory.mktemp("compressing")
    async with whole(sqlite_template, folder, websocket_compression="on") as served:
        yield served


def extensions(client: Socket) -> list[Any]:
    return list(client.connection.protocol.extensions)


def received_bytes(client: Socket) -> int:
    """What has come over the network so far, by the kernel's count (struct tcp_info, tcpi_bytes_received)."""
    connection = client.connection.transport.get_extra_info("socket")
    found: int = struct.unpack_from("<Q", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 128)[0]
    return found


async def test_an_answer_is_compressed_by_itself(compressing: Whole) -> None:
    async with open_socket(compressing.served, compression="deflate") as client:
        (extension,) = extensions(client)
        assert isinstance(extension, PerMessageDeflate)
        # Nothing is kept between two messages, on either side.
        assert extension.remote_no_context_takeover
        assert extension.local_no_context_takeover
        await client.initialise()
        for operation_id in ("a", "b"):
            before = received_bytes(client)
            await client.subscribe(operation_id, NAMES)
            answer = await client.receive()
            assert answer["payload"]["data"]["__schema"]
            assert (await client.receive())["type"] == "complete"
            assert received_bytes(client) - before < len(json.dumps(answer)) / 2


async def test_a_client_that_does_not_offer_it_gets_plain_frames(compressing: Whole) -> None:
    async with open_socket(compressing.served) as client:
        assert extensions(client) == []
        await client.initialise()


async def test_it_is_off_unless_it_is_set(sqlite_template: Path, tmp_path: Path) -> None:
    async with whole(sqlite_template, tmp_path) as served, open_socket(served.served, compression="deflate") as client:
        assert extensions(client) == []


async def test_a_fragmented_message_is_read(compressing: Whole) -> None:
    async with open_socket(compressing.served, compression="deflate") as client:
        await client.initialise()
        frame = json.dumps({"id": "a", "type": "subscribe", "payload": {"query": NAMES + " " * 5_000}})
        await client.connection.send([frame[:40], frame[40:80], frame[80:]])
        assert (await client.receive())["type"] == "next"


@pytest.mark.parametrize(("is_known", "size"), [(False, INIT_BYTES_MAX), (True, FRAME_BYTES_MAX)])
async def test_a_message_that_is_too_large_once_it_is_decompressed_is_refused(
    compressing: Whole, is_known: bool, size: int
) -> None:
    async with open_socket(compressing.served, compression="deflate") as client:
        if is_known:
            await client.initialise()
            await client.connection.send(json.dumps({"type": "ping"}).ljust(size))
            assert await client.receive() == {"type": "pong"}
        await client.connection.send(json.dumps({"type": "ping"}).ljust(size + 1))
        assert await client.closed() == 1009


async def test_what_is_not_compressed_as_it_says_ends_its_socket_alone(compressing: Whole) -> None:
    async with (
        open_socket(compressing.served, compression="deflate") as other,
        open_socket(compressing.served, compression="deflate") as client,
    ):
        await client.initialise()
        # A text frame with the mark of compression, masked by zeros.
        client.connection.transport.write(b"\xc1\x83\0\0\0\0\xff\xff\xff")
        assert await client.closed() == 1002
        await other.initialise()
