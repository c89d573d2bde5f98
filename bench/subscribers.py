"""Subscribers: the memory of an idle one, and the delay of one event to five hundred of them."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.clients import Served, cpu_seconds, resident_kib, served
from bench.connection import Connection, flight_node
from bench.sockets import Watcher, open_watchers
from bench.world import fill

__all__ = ["FanOut", "Idle", "Operations", "fan_out", "idle", "operations"]

SERVERS: Final = {"ours": "bench.server", "stock": "bench.stock"}
SUBSCRIBERS: Final = 500
EVENTS: Final = 10
DELAY_MS: Final = 400
SOCKETS: Final = 500
SOCKETS_OF_MANY: Final = 50
OPERATIONS_A_SOCKET: Final = 100
SETTLE_SECONDS: Final = 1.0
WARM_SOCKETS: Final = 20
WAIT_SECONDS_MAX: Final = 60.0
OPERATIONS: Final = 500
_EVENTS: Final = "subscription($id: UUID!, $after: Int!) { sagaEvents(correlationId: $id, after: $after) { %s } }"
_PLAIN: Final = "sequence type step compensation attempt message at failure { code message }"
#: As a page that draws the saga asks for it.
_DRAWN: Final = f"{_PLAIN} saga {{ status sequence steps {{ name status attempt summary }} queue {{ executing }} }}"
_BOOK: Final = (
    "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { correlationId } errors { __typename } } }"
)
_STATUS: Final = "query($id: UUID!) { saga(correlationId: $id) { status sequence } }"
_QUERY: Final = "{ airports { code } }"


class Idle(msgspec.Struct, frozen=True):
    """kB that one idle subscription takes on the server."""

    one_a_socket: float
    hundred_a_socket: float


class FanOut(msgspec.Struct, frozen=True):
    """From commit to client, in ms, over all subscribers and events; and the server's processor time an event."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float


class Operations(msgspec.Struct, frozen=True):
    """Milliseconds of the server's processor time for one small query: its text known, and its text new."""

    cached_ms: float
    uncached_ms: float


async def idle(folder: Path) -> dict[str, Idle]:
    """Both servers' memory for subscribers to whom nothing happens, each case on a server of its own."""
    found = {}
    for name, module in SERVERS.items():
        one = await _idle_kb(folder / f"{name}-one", module, SOCKETS, 1)
        hundred = await _idle_kb(folder / f"{name}-hundred", module, SOCKETS_OF_MANY, OPERATIONS_A_SOCKET)
        found[name] = Idle(one, hundred)
    return found


async def _idle_kb(folder: Path, module: str, sockets: int, operations: int) -> float:
    flights = await fill(folder)
    async with served(folder, module=module) as server:
        correlation_id, newest = await _stuck_saga(server, flights[0])
        # Whatever the first ones bring with them is not theirs.
        await _close(await _subscribe_idle(server, correlation_id, newest, WARM_SOCKETS, operations))
        before = resident_kib(server.process)
        watchers = await _subscribe_idle(server, correlation_id, newest, sockets, operations)
        taken = resident_kib(server.process) - before
        await _close(watchers)
        return taken * 1.024 / (sockets * operations)


async def _subscribe_idle(
    server: Served, correlation_id: str, newest: int, sockets: int, operations: int
) -> list[Watcher]:
    """Each is told the newest event, and then nothing."""
    heard: list[bytes] = []
    watchers = await open_watchers(server.port, sockets, lambda frame, at: heard.append(frame))
    for watcher in watchers:
        for number in range(operations):
            variables = {"id": correlation_id, "after": newest - 1}
            watcher.subscribe(f"s{number}", _EVENTS % "sequence", variables)
    await _until(lambda: len(heard) >= sockets * operations)
    await asyncio.sleep(SETTLE_SECONDS)
    return watchers


async def fan_out(folder: Path) -> dict[str, dict[str, FanOut]]:
    """One saga with five hundred subscribers, by how much they ask for, on both servers."""
    found: dict[str, dict[str, FanOut]] = {}
    for name, module in SERVERS.items():
        place = folder / name
        flights = await fill(place)
        async with served(place, module=module) as server:
            await _fan_out(server, flights[0], _PLAIN, 20)
            found[name] = {
                "the event": await _fan_out(server, flights[1], _PLAIN, SUBSCRIBERS),
                "the event and its saga": await _fan_out(server, flights[2], _DRAWN, SUBSCRIBERS),
            }
    return found


async def _fan_out(server: Served, flight_id: int, asked: str, subscribers: int) -> FanOut:
    lateness: list[float] = []
    events: set[int] = set()

    def heard(frame: bytes, at: float) -> None:
        message = msgspec.json.decode(frame)
        if message["type"] == "next":
            event = message["payload"]["data"]["sagaEvents"]
            events.add(event["sequence"])
            lateness.append(at - datetime.fromisoformat(event["at"]).timestamp())

    correlation_id = str(uuid.uuid4())
    watchers = await open_watchers(server.port, subscribers, heard)
    for watcher in watchers:
        watcher.subscribe("s", _EVENTS % asked, {"id": correlation_id, "after": 0})
    await asyncio.sleep(SETTLE_SECONDS)
    for watcher in watchers:
        watcher.record()
    before = cpu_seconds(server.process)
    await _book(server, flight_id, correlation_id, delayMs=DELAY_MS)
    await _until(lambda: all(watcher.has_ended for watcher in watchers))
    taken = cpu_seconds(server.process) - before
    for watcher in watchers:
        watcher.replay()
    if len(lateness) != subscribers * EVENTS:
        raise RuntimeError(f"{len(lateness)} events instead of {EVENTS} for each of {subscribers} subscribers")
    await _close(watchers)
    lateness.sort()
    return FanOut(
        statistics.median(lateness) * 1e3, lateness[int(len(lateness) * 0.99)] * 1e3, taken / len(events) * 1e3
    )


async def operations(folder: Path) -> dict[str, Operations]:
    """A small query again and again on one connection, its text the same, and its text new each time."""
    found = {}
    for name, module in SERVERS.items():
        place = folder / name
        await fill(place)
        async with served(place, module=module) as server:
            connection = await Connection.to(server.port)
            cached = await _operation_ms(server, connection, lambda number: _QUERY)
            uncached = await _operation_ms(server, connection, lambda number: f"# {number}\n{_QUERY}")
            connection.close()
            found[name] = Operations(cached, uncached)
    return found


async def _operation_ms(server: Served, connection: Connection, text: Callable[[int], str]) -> float:
    for number in range(OPERATIONS // 10):
        await connection.ask(text(-number), {})
    before = cpu_seconds(server.process)
    for number in range(OPERATIONS):
        await connection.ask(text(number + 1), {})
    return (cpu_seconds(server.process) - before) / OPERATIONS * 1e3


# ---------------------------------------------------------------------- parts


async def _stuck_saga(server: Served, flight_id: int) -> tuple[str, int]:
    """A saga that stands still and is not over: its correlation ID, and its newest sequence."""
    correlation_id = str(uuid.uuid4())
    await _book(server, flight_id, correlation_id, failAt=["AUTHORIZE_PAYMENT"], failCompensationAt=["CANCEL_SEAT"])
    connection = await Connection.to(server.port)
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        answer = msgspec.json.decode(await connection.ask(_STATUS, {"id": correlation_id}))["data"]["saga"]
        if answer["status"] == "STUCK":
            connection.close()
            return correlation_id, answer["sequence"]
        if time.monotonic() > deadline:
            raise RuntimeError(answer)
        await asyncio.sleep(0.1)


async def _book(server: Served, flight_id: int, correlation_id: str, **simulate: Any) -> None:
    connection = await Connection.to(server.port)
    wish = {
        "correlationId": correlation_id,
        "segments": [{"flightId": flight_node(flight_id)}],
        "passengers": [{"givenName": "Grace", "familyName": "Hopper"}],
        "loyalty": {"memberNumber": "SS0000001"},
        "simulate": simulate,
    }
    answer = await connection.ask(_BOOK, {"input": wish})
    connection.close()
    if b'"errors":[]' not in answer.replace(b" ", b""):
        raise RuntimeError(answer.decode())


async def _close(watchers: list[Watcher]) -> None:
    for watcher in watchers:
        watcher.close()
    await asyncio.sleep(SETTLE_SECONDS)


async def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("not all has arrived")
        await asyncio.sleep(0.02)
