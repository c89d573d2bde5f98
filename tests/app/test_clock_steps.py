"""The machine's wall clock is set while the server runs, forwards and back: nothing waits for it, nothing is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.client import Client
from tests.app.airline import Exposition
from tests.app.test_stopping import BOOK, order
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.faketime import FakeClock

MINUTE_BACK: Final = -60
HOURS_BACK: Final = -2 * 3_600
MONTHS_ON: Final = 210 * 86_400
STEPS: Final = (MINUTE_BACK, HOURS_BACK, MONTHS_ON)
TOKEN: Final = "the operators' token"
HOLD_SECONDS: Final = 20
INTERVAL_SECONDS: Final = 1
#: Twice the scheduler's patience with its own readings, which a clock set back used to use up.
WATCHED_SECONDS: Final = 12.0
SAGA: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) { status failure { code } } }"
HOLDS: Final = "{ seatReservations(filter: { statuses: [HELD] }) { totalCount } }"


@dataclass
class Stage:
    """A server whose clock can be set, and its clients."""

    clock: FakeClock
    child: Child
    api: Client
    http: httpx.AsyncClient
    flight_id: str

    async def book(self, **simulate: Any) -> str:
        correlation_id = str(uuid.uuid4())
        answer = await self.api.query(BOOK, input=order(self.flight_id, correlation_id, **simulate))
        assert answer["bookFlight"]["errors"] == []
        return correlation_id

    async def has_held(self, correlation_id: str) -> None:
        async with asyncio.timeout(20):
            async for event in self.api.follow(correlation_id):
                if event["type"] == "STEP_COMPLETED":
                    return

    async def ended(self, correlation_id: str) -> dict[str, Any]:
        saga: dict[str, Any] = (await self.api.query(SAGA, id=correlation_id))["saga"]
        return saga

    async def scrape(self) -> Exposition:
        return Exposition((await self.http.get("/metrics")).text)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    clock = FakeClock(folder)
    env = environment(
        folder,
        admin_token=TOKEN,
        hold_seconds=str(HOLD_SECONDS),
        expiry_interval_seconds=str(INTERVAL_SECONDS),
    )
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        serving_child(folder, env | clock.environment) as child,
        Client(child.url, TOKEN) as api,
        httpx.AsyncClient(base_url=child.url, headers=bearer, timeout=30) as http,
    ):
        edges = (await api.query("{ flights(first: 1) { edges { node { id } } } }"))["flights"]["edges"]
        yield Stage(clock, child, api, http, edges[0]["node"]["id"])


@pytest.fixture
async def staged(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as staged:
        yield staged


@pytest.mark.parametrize("seconds", STEPS)
async def test_a_server_whose_clock_is_set_stays_in_service(staged: Stage, seconds: int, tmp_path: Path) -> None:
    before = await staged.scrape()
    ran = before("seatsaga_job_runs_total", job_id="release-expired-reservations", outcome="ok") or 0
    # Each rests between its steps, and has its seats.
    under_way = [await staged.book(delayMs=500) for _ in range(3)]
    for correlation_id in under_way:
        await staged.has_held(correlation_id)
    staged.clock.step(seconds)
    until = time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < until:
        ready = await staged.http.get("/readyz")
        # Not what a loaded machine may cost it.
        checks = ready.json()["checks"]
        assert (checks["runner"], checks["scheduler"]) == ("ok", "ok")
        await asyncio.sleep(0.1)

    for correlation_id in under_way:
        # Set forwards, their holds are over; what else there is goes on.
        saga = await staged.ended(correlation_id)
        assert saga == (
            {"status": "COMPENSATED", "failure": {"code": "HOLD_EXPIRED"}}
            if seconds > 0
            else {"status": "COMPLETED", "failure": None}
        )
    after = await staged.scrape()
    runs = (after("seatsaga_job_runs_total", job_id="release-expired-reservations", outcome="ok") or 0) - ran
    assert WATCHED_SECONDS / INTERVAL_SECONDS / 4 <= runs <= WATCHED_SECONDS / INTERVAL_SECONDS * 4
    assert after("seatsaga_clock_steps_total", clock="machine") == 1
    said = [
        line
        for line in staged.child.output.read_text().splitlines()
        if "clock was set forwards" in line or "clock was set back by" in line
    ]
    assert len(said) == 1, said
    listed = (await staged.http.get("/admin/scheduler")).json()
    assert all(job["nextRunAt"] for job in listed["jobs"])
    examined = await asyncio.to_thread(seatsaga, "doctor", env=environment(tmp_path), folder=tmp_path)
    assert examined.returncode == 0, examined.stdout
