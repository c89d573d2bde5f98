"""One seatsaga that lives through a day: of whichever commit's packages come first on PYTHONPATH.

`python contestant.py DAY`, DAY as JSON (see `days.Orders`). It is run by its path, so that the same program drives the
code of today and that of before: it uses nothing that only one of them has. It says a line when it is ready, begins
when it is told "go", and says a line with what came of it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from app.bootstrap import Backend
from app.settings import load_settings
from bench.world import database_file, fill
from domain.bookings import BookFlight, Passenger, SegmentWish, bookings_of_sagas
from domain.saga import Committed, SagaView

VISA = "pm_card_visa"
#: Cancellations are asked for this long after the bookings, when these fill every place.
CANCELLED_AFTER_SECONDS = 2.0


class Calls:
    """Every request that reaches the HTTP client's transport, also one whose connection is refused."""

    def __init__(self) -> None:
        self.number = 0
        send = httpx.AsyncHTTPTransport.handle_async_request

        async def counted(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            self.number += 1
            return await send(transport, request)

        httpx.AsyncHTTPTransport.handle_async_request = counted  # type: ignore[method-assign,assignment]


class Desk:
    """Sells seats, and knows which sagas have ended, when, and how."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.flight_ids: list[int] = []
        self.ended: dict[str, tuple[float, str]] = {}
        self._changed = asyncio.Event()
        backend.engine.telemetry.attach(self._hear)

    def _hear(self, signal: object) -> None:
        if isinstance(signal, Committed):
            for event in signal.events:
                if event.type.is_terminal:
                    self.ended[event.saga_id] = (time.monotonic(), event.type.value)
                    self._changed.set()

    async def book(self, number: int, token: str | None) -> SagaView | None:
        """Begin a booking; None if it is refused at the door."""
        wish = BookFlight(
            "bench",
            [SegmentWish(self.flight_ids[number % len(self.flight_ids)])],
            [Passenger("Grace", "Hopper")],
            str(uuid.uuid4()),
            member_number=f"SS{number % 100 + 1:07d}",
            payment_token=token,
        )
        found = await self.backend.bookings.book(wish)
        return found if isinstance(found, SagaView) else None

    async def cancel(self, saga: SagaView) -> SagaView:
        """Begin the cancellation of what this saga has booked."""
        async with self.backend.database.reading() as connection:
            booking = (await bookings_of_sagas(connection, [saga.id]))[saga.id]
        found = await self.backend.bookings.cancel_booking(
            booking.reference, correlation_id=None, simulation=None, subject=None, by="bench"
        )
        assert isinstance(found, SagaView), found
        return found

    async def over(self, sagas: list[SagaView], seconds_max: float) -> None:
        """Return once all have ended, or the time is over."""
        waiting = {saga.id for saga in sagas}
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                while not waiting <= self.ended.keys():
                    self._changed.clear()
                    await self._changed.wait()


async def bad_day(desk: Desk, day: dict[str, Any]) -> dict[str, Any]:
    """Book, and cancel what was booked before, while the provider is as the bench has made it."""
    early = [await desk.book(number, VISA) for number in range(day["cancellations"])]
    booked = [saga for saga in early if saga is not None]
    await desk.over(booked, day["seconds_max"])
    say({"ready": True})
    await told()
    calls_before, began = CALLS.number, time.monotonic()
    calls_away = asyncio.create_task(calls_when_told())
    begun = await asyncio.gather(*(desk.book(number, VISA) for number in range(day["bookings"])))
    wanted = [saga for saga in begun if saga is not None]
    if booked and wanted and not day["at_once"]:
        await asyncio.sleep(CANCELLED_AFTER_SECONDS)
    cancelled_at = time.monotonic()
    cancellations = [await desk.cancel(saga) for saga in booked]
    await desk.over([*wanted, *cancellations], day["seconds_max"])
    return {
        "refused": len(begun) - len(wanted),
        "booked": [saga.correlation_id for saga in wanted if ends_as(desk, saga, "SAGA_COMPLETED")],
        "undone": [saga.correlation_id for saga in wanted if ends_as(desk, saga, "SAGA_COMPENSATED")],
        "cancelled": [
            old.correlation_id
            for old, new in zip(booked, cancellations, strict=True)
            if ends_as(desk, new, "SAGA_COMPLETED")
        ],
        "open": sum(saga.id not in desk.ended for saga in (*wanted, *cancellations)),
        "failures": dict(Counter(await failures(desk, wanted))),
        "calls": CALLS.number - calls_before,
        "calls_away": calls_away.result() - calls_before if calls_away.done() else 0,
        "seconds": max([desk.ended[saga.id][0] for saga in wanted if saga.id in desk.ended], default=began) - began,
        "cancelled_seconds": max(
            [desk.ended[saga.id][0] for saga in cancellations if saga.id in desk.ended], default=cancelled_at
        )
        - cancelled_at,
    }


async def calls_when_told() -> int:
    """How many requests were made until the bench says something."""
    await told()
    return CALLS.number


def ends_as(desk: Desk, saga: SagaView, kind: str) -> bool:
    return desk.ended.get(saga.id, (0.0, ""))[1] == kind


async def failures(desk: Desk, sagas: list[SagaView]) -> list[str]:
    """Why those that were not booked were not."""
    found = []
    for saga in sagas:
        view = await desk.backend.engine.saga(saga.correlation_id)
        if view is not None and view.failure is not None:
            found.append(view.failure.code)
    return found


async def calm_day(desk: Desk, day: dict[str, Any]) -> dict[str, Any]:
    """Nothing goes wrong: how many bookings a second, and how long one takes; `bookings` of them each round."""

    async def book(number: int) -> None:
        saga = await desk.book(number, None)
        assert saga is not None
        await desk.backend.engine.ended(saga.correlation_id, seconds=60)

    async def rate(bookings: int, at_once: int) -> float:
        numbers = iter(range(bookings))

        async def buyer() -> None:
            for number in numbers:
                await book(number)

        began = time.perf_counter()
        await asyncio.gather(*(buyer() for _ in range(at_once)))
        return bookings / (time.perf_counter() - began)

    await rate(512, 256)
    say({"ready": True})
    while await told() != "end":
        worked = time.process_time()
        many = await rate(day["bookings"], 256)
        cpu_ms = (time.process_time() - worked) / day["bookings"] * 1e3
        took = []
        for number in range(day["alone"]):
            began = time.perf_counter()
            await book(number)
            took.append(time.perf_counter() - began)
        say({"rate": many, "cpu_ms": cpu_ms, "alone_ms": sorted(took)[len(took) // 2] * 1e3})
    return {}


async def main(day: dict[str, Any]) -> None:
    """Serve, and live the day."""
    folder = Path(day["folder"])
    flight_ids = await fill(folder)
    given = {
        "database_url": f"sqlite+aiosqlite:///{database_file(folder)}",
        "log_dir": folder / "logs",
        "admin_token": "a token for operators",
        **day["settings"],
    }
    backend = Backend(load_settings({}, **given), console=io.StringIO(), says_events=False)
    desk = Desk(backend)
    desk.flight_ids = flight_ids
    async with backend.running():
        found = await (calm_day if day["calm"] else bad_day)(desk, day)
        say(found)
    # A pool that is dead is not worth waiting for.
    sys.stdout.flush()
    os._exit(0)


async def told() -> str:
    """The next line of the bench's."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip() or "end"


def say(line: dict[str, Any]) -> None:
    """One line for the bench."""
    print(json.dumps(line), flush=True)


CALLS = Calls()

if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
