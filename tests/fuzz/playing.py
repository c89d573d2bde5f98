"""Plays inputs to a server, and judges what comes back."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from domain import flights, seats
from domain.clock import wall_now
from domain.flights import ImportRefused
from domain.storage import Database
from tests.fuzz.inputs import Call, Inputs
from tests.fuzz.server import Report
from tests.support.children import Child, environment, serving_child
from tests.support.raw import frames_of, handshake
from tests.support.waiting import eventually

__all__ = ["Verdict", "play"]

LANES: Final = 4
#: So many of a hundred inputs are sockets, and so many files.
SOCKETS_OF_100: Final = 15
FILES_OF_100: Final = 5
ANSWER_SECONDS_MAX: Final = 20.0
#: A subscription answers as long as it is listened to.
LISTENING_SECONDS: Final = 0.3
SETTLING_SECONDS_MAX: Final = 30.0
#: For before anything is measured: the first of everything is made then, and kept.
WARMING_SHARE: Final = 0.25


@dataclass
class Verdict:
    """What was wrong; and how it went: answers by status, the longest hold in ms, memory before and after."""

    problems: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    held_ms_max: float = 0.0
    memory_before: int = 0
    memory_after: int = 0

    def blame(self, what: str, sent: object) -> None:
        """Note a problem and what was sent."""
        self.problems.append(f"{what}\n    sent: {str(sent)[:2_000]}")

    def __str__(self) -> str:
        said = ", ".join(f"{name} {number}" for name, number in sorted(self.answers.items()))
        return (
            f"{len(self.problems)} problems; answers: {said}; loop held {self.held_ms_max:.0f} ms at most;"
            f" memory {self.memory_before / 2**20:.0f} MB before, {self.memory_after / 2**20:.0f} MB after"
        )


async def play(folder: Path, *, seed: int, number: int) -> Verdict:
    """Send `number` inputs drawn from `seed` to a server of its own in `folder`."""
    verdict = Verdict()
    async with _server(folder) as child:
        warming = round(number * WARMING_SHARE)
        await _play_lanes(child, folder, verdict, seed=seed, number=warming)
        verdict.memory_before = (await _settled(child, folder)).memory_bytes
        await _play_lanes(child, folder, verdict, seed=seed + 1, number=number - warming)
        report = await _settled(child, folder)
        verdict.held_ms_max, verdict.memory_after = report.held_ms_max, report.memory_bytes
        async with httpx.AsyncClient(base_url=child.url) as client:
            if (await client.get("/readyz")).status_code != 200:
                verdict.blame("the server is not ready afterwards", "")
        if child.terminate() != 0:
            verdict.blame("the server did not end with 0", "")
    for path in [child.output, *(folder / "logs").glob("*.log")]:
        text = path.read_text(errors="replace")
        if "Traceback" in text:
            verdict.blame(f"a traceback in {path.name}", text[text.index("Traceback") - 300 :][:3_000])
    return verdict


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[Child]:
    env = environment(folder) | {"FUZZ_REPORT": str(folder / "report.json")}
    async with serving_child(folder, env, module="tests.fuzz.server") as child:
        yield child


async def _settled(child: Child, folder: Path) -> Report:
    """What the server measured until now, once what was begun is over."""
    await _idle(child)
    path = folder / "report.json"
    path.unlink(missing_ok=True)
    os.kill(child.process.pid, signal.SIGUSR1)
    await eventually(path.exists, SETTLING_SECONDS_MAX)
    return msgspec.json.decode(path.read_bytes(), type=Report)


async def _idle(child: Child) -> None:
    query = {"query": "{ sagas(filter: {status: [PENDING, RUNNING, COMPENSATING]}) { totalCount } }"}
    async with httpx.AsyncClient(
        base_url=child.url, headers={"Authorization": f"Bearer {operator_token(child)}"}
    ) as client:

        async def is_idle() -> bool:
            answer = (await client.post("/graphql", json=query)).json()
            assert answer["data"]["sagas"]["totalCount"] == 0, answer
            return True

        await eventually(is_idle, SETTLING_SECONDS_MAX)


def operator_token(child: Child) -> str:
    """Made by the server for its operators."""
    return (child.output.parent / "data" / "admin-token").read_text().strip()


async def _play_lanes(child: Child, folder: Path, verdict: Verdict, *, seed: int, number: int) -> None:
    async with asyncio.TaskGroup() as lanes:
        for lane in range(LANES):
            dice = random.Random(f"{seed}:{lane}")
            lanes.create_task(_Lane(child, folder, verdict, dice).play(number // LANES))


class _Lane:
    """One input after another."""

    def __init__(self, child: Child, folder: Path, verdict: Verdict, dice: random.Random) -> None:
        self._child = child
        self._folder = folder
        self._verdict = verdict
        self._dice = dice
        self._inputs = Inputs(dice, operator_token(child))

    async def play(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self._child.url, timeout=ANSWER_SECONDS_MAX) as client:
            for _ in range(number):
                kind = self._dice.randrange(100)
                if kind < SOCKETS_OF_100:
                    await self._play_socket()
                elif kind < SOCKETS_OF_100 + FILES_OF_100:
                    await self._play_file()
                else:
                    await self._play_call(client, self._inputs.call())

    async def _play_call(self, client: httpx.AsyncClient, call: Call) -> None:
        # Headers are bytes on the way; a client's own encoding must not decide what can be sent.
        headers = [(name.encode(), value.encode("latin-1")) for name, value in call.headers]
        body = b""
        try:
            async with client.stream(call.method, call.path, headers=headers, content=call.body) as answer:
                deadline = time.monotonic() + (LISTENING_SECONDS if _is_stream(answer) else ANSWER_SECONDS_MAX)
                with suppress(TimeoutError):
                    async with asyncio.timeout(deadline - time.monotonic()):
                        async for part in answer.aiter_bytes():
                            body += part
        except (httpx.InvalidURL, httpx.LocalProtocolError):
            return
        except httpx.HTTPError as error:
            self._verdict.blame(f"no answer: {error!r}", call)
            return
        self._verdict.answers[str(answer.status_code)] += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            self._verdict.blame(f"{answer.status_code}: {body[:500]!r}", call)
        self._judge(body, call)
        is_json = "json" in answer.headers.get("content-type", "")
        if answer.status_code == 200 and body and is_json and not _is_stream(answer):
            self._learn(body, call)

    def _judge(self, answer: bytes, sent: object) -> None:
        if b'"INTERNAL"' in answer:
            self._verdict.blame(f"INTERNAL: {answer[answer.index(b'INTERNAL') - 400 :][:800]!r}", sent)
        if b"Traceback" in answer:
            self._verdict.blame("a traceback in an answer", sent)

    def _learn(self, body: bytes, call: Call) -> None:
        """Ids that the server has told make later requests go further."""
        try:
            answer = json.loads(body)
        except ValueError:
            self._verdict.blame(f"no JSON: {body[:500]!r}", call)
            return
        found = [value for value in _texts(answer) if 8 <= len(value) <= 60 and " " not in value]
        if found:
            self._inputs.known = [*self._inputs.known[-60:], *self._dice.sample(found, min(3, len(found)))]

    async def _play_socket(self) -> None:
        sent = self._inputs.frames()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._child.port)
        received = b""
        try:
            writer.write(handshake())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_SECONDS_MAX)
            self._verdict.answers["socket " + head.split(b" ")[1].decode()] += 1
            writer.write(sent)
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(LISTENING_SECONDS):
                    while part := await reader.read(65_536):
                        received += part
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self._verdict.blame(f"no handshake: {error!r}", sent)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        with suppress(IndexError):
            for opcode, payload in frames_of(received):
                if opcode == 8:
                    self._verdict.answers[f"closed {int.from_bytes(payload[:2], 'big')}"] += 1
                self._judge(payload, sent)

    async def _play_file(self) -> None:
        content = self._inputs.timetable()
        database = Database(f"sqlite+aiosqlite:///{self._folder / 'data' / 'seatsaga.db'}")
        try:
            answer = await flights.import_flights(
                database, content, now=wall_now(), add_seats=seats.add_seats, remove_seats=seats.remove_seats
            )
        except Exception as error:
            self._verdict.blame(f"import-flights: {error!r}", content)
        else:
            self._verdict.answers["file refused" if isinstance(answer, ImportRefused) else "file loaded"] += 1
        finally:
            await database.close()


def _is_stream(answer: httpx.Response) -> bool:
    kind: str = answer.headers.get("content-type", "")
    return kind.startswith(("text/event-stream", "multipart/mixed"))


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for item in value for text in _texts(item)]
        case dict():
            return [text for item in value.values() for text in _texts(item)]
        case _:
            return []
