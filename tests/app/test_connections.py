"""Connections that want nothing, or never come to an end, are not waited for, and harm nobody."""

from __future__ import annotations

import asyncio
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.http.operations import Bodies
from app.http.patience import PatientProtocol
from tests.app.probe import Witness, probing
from tests.support.children import Child, environment, serving_child
from tests.support.serving import Served
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

HELLO: Final = json.dumps({"query": "{ hello }"}).encode()
ANSWER_SECONDS_MAX: Final = 10


class Impatient(PatientProtocol):
    """For tests, which are."""

    head_seconds_max = 0.3


@pytest.fixture
async def probe() -> AsyncIterator[tuple[Served, Witness]]:
    bodies = Bodies(100_000, reading_bytes_max=150_000, seconds_max=0.5)
    async with probing(http=Impatient, bodies=bodies) as probe:
        yield probe


@pytest.fixture
def served(probe: tuple[Served, Witness]) -> Served:
    return probe[0]


class Connection:
    """Bytes there and back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int | None:
        """The status of the next answer, whose body is read too; None where the connection ends without one."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            head = await self.reader.readline()
            if not head:
                return None
            length = 0
            while (line := await self.reader.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            await self.reader.readexactly(length)
        return int(head.split()[1])

    async def is_closed(self) -> bool:
        """Whether the server has closed it, with nothing said."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await self.reader.read() == b""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield connection
    finally:
        connection.writer.close()


def head(length: int = len(HELLO)) -> bytes:
    """Of a POST with a body of so many bytes."""
    lines = ["POST /graphql HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def open_files_of(child: Child) -> int:
    return len(list(Path(f"/proc/{child.process.pid}/fd").iterdir()))


# ---------------------------------------------------------------------- heads


@pytest.mark.parametrize("begun", [b"", head()[:30], head()[:-1]], ids=["nothing", "a-bit", "all-but-the-end"])
async def test_a_head_that_does_not_come_is_not_waited_for(served: Served, begun: bytes) -> None:
    async with connected(served.port) as connection:
        await connection.send(begun)
        assert await connection.is_closed()


async def test_nor_is_it_on_a_connection_that_was_of_use_before(served: Served) -> None:
    async with connected(served.port) as connection:
        await connection.send(head() + HELLO)
        assert await connection.status() == 200
        await connection.send(head()[:30])
        assert await connection.is_closed()


async def test_a_head_that_comes_slowly_within_its_time_and_one_after_a_pause_are_answered(served: Served) -> None:
    async with connected(served.port) as connection:
        for part in (head()[:30], head()[30:], HELLO[:5], HELLO[5:]):
            await connection.send(part)
            await asyncio.sleep(0.01)
        assert await connection.status() == 200
        # An idle connection is kept much longer than a head is waited for.
        await asyncio.sleep(2 * Impatient.head_seconds_max)
        await connection.send(head() + HELLO)
        assert await connection.status() == 200


async def test_an_empty_line_after_an_answer_is_no_reason_to_wait_for_ever(served: Served) -> None:
    async with connected(served.port) as connection:
        await connection.send(head() + HELLO)
        assert await connection.status() == 200
        await connection.send(b"\r\n")
        assert await connection.is_closed()


async def test_a_socket_is_not_taken_for_a_connection_without_a_request(served: Served) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await asyncio.sleep(2 * Impatient.head_seconds_max)
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_so_many_requests_may_wait_on_one_connection() -> None:
    slow = b"GET /graphql?query={hello} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with probing() as (served, _):
        async with connected(served.port) as connection:
            await connection.send(slow * PatientProtocol.pipelined_max)
            for _ in range(PatientProtocol.pipelined_max):
                assert await connection.status() == 200
        async with connected(served.port) as connection:
            await connection.send(slow * 9_000)
            with suppress(ConnectionError):
                assert await connection.is_closed()


async def test_a_head_with_more_fields_than_it_may_have_is_refused(served: Served) -> None:
    async with connected(served.port) as connection:
        await connection.send(head()[:-2] + b"".join(b"X-%d: y\r\n" % number for number in range(128)) + b"\r\n")
        assert await connection.status() == 400
        assert await connection.is_closed()


async def test_a_head_without_end_is_refused() -> None:
    line = b"X-More: " + b"x" * 10_000 + b"\r\n"

    async def send_without_end(connection: Connection) -> None:
        await connection.send(head()[:-2])
        for _ in range(1_000):
            await connection.send(line)
            await asyncio.sleep(0)

    async with probing() as (served, _):
        async with connected(served.port) as connection:
            with pytest.raises(ConnectionError):
                await send_without_end(connection)
        async with connected(served.port) as connection:
            await connection.send(head()[:-2] + 3 * line + b"\r\n" + HELLO)
            assert await connection.status() == 200


# ---------------------------------------------------------------------- bodies


async def test_a_body_that_does_not_come_is_not_waited_for(probe: tuple[Served, Witness]) -> None:
    served, witness = probe
    async with connected(served.port) as connection:
        await connection.send(head() + HELLO[:-1])
        assert await connection.status() == 408
        assert await connection.is_closed()
    assert witness.contexts == []


async def test_the_rest_of_a_body_that_was_answered_early_is_no_head(served: Served) -> None:
    refused = head(300_000).replace(b"application/json", b"text/plain")
    async with connected(served.port) as connection:
        await connection.send(refused + b" " * 100_000)
        assert await connection.status() == 415
        for _ in range(4):
            await connection.send(b" " * 50_000)
        await connection.send(head() + HELLO)
        assert await connection.status() == 200
    async with connected(served.port) as connection:
        await connection.send(refused)
        assert await connection.status() == 415
        await connection.send(b" ")
        assert await connection.is_closed(), "nor is it waited for"


async def test_bodies_together_take_up_only_so_much(served: Served) -> None:
    async with connected(served.port) as first, connected(served.port) as second, connected(served.port) as third:
        await first.send(head(100_000) + b" " * 99_000)
        await second.send(head(100_000) + b" " * 99_000)
        assert await second.status() == 503
        assert await second.is_closed()
        await third.send(head(20_000) + b" " * (20_000 - len(HELLO)) + HELLO)
        assert await third.status() == 200, "there is room for this one"
        await first.send(b" " * (1_000 - len(HELLO)) + HELLO)
        assert await first.status() == 200
    async with connected(served.port) as fourth:
        await fourth.send(head(100_000) + b" " * (100_000 - len(HELLO)) + HELLO)
        assert await fourth.status() == 200, "what was read is counted no more"


async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_nothing(served: Served) -> None:
    for _ in range(20):
        async with connected(served.port) as connection:
            await connection.send(head(100_000) + b" " * 70_000)

    async def has_room() -> bool:
        async with connected(served.port) as connection:
            await connection.send(head(90_000) + b" " * (90_000 - len(HELLO)) + HELLO)
            return await connection.status() == 200

    await eventually(has_room)


# ---------------------------------------------------------------------- more than there are files


async def test_more_connections_than_there_are_files_for_are_closed_and_the_others_served(tmp_path: Path) -> None:
    env = environment(tmp_path, requests_active_max="100")
    async with serving_child(tmp_path, env) as child:
        room = open_files_of(child) + 60
        resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE, (room, room))
        connections = [Connection(*await asyncio.open_connection("127.0.0.1", child.port)) for _ in range(300)]

        async def ask(connection: Connection) -> int | None:
            try:
                await connection.send(b"GET /graphql?query={airports{code}} HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return await connection.status()
            except ConnectionError:
                return None

        answers = Counter(await asyncio.gather(*(ask(connection) for connection in connections)))
        # Some of the server's own files may come and go meanwhile.
        # Where the database cannot open a file either, nothing is executed and the client is told to come back.
        assert set(answers) - {503} == {200, None}
        assert answers[200] + answers[503] == pytest.approx(60, abs=20)
        for connection in connections:
            connection.writer.close()

        async def is_well() -> bool:
            async with httpx.AsyncClient(base_url=child.url) as http:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    # It has not heard yet that they are gone.
                    return False

        await eventually(is_well)
