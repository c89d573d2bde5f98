"""The demo on later days: the timetable rolls on while the server runs, and what the docs show still works."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from app.client import Client
from tests.support.children import environment, seatsaga_anew, serving_child
from tests.support.faketime import FakeClock
from tests.support.waiting import eventually

DAY: Final = 86_400
TOKEN: Final = "the operators' token"
RUN: Final = "/admin/scheduler/jobs/extend-demo-timetable/run"
NEXT: Final = "{ flights(first: 100) { totalCount edges { node { departsAt } } } }"
ALL: Final = "{ flights(filter: { includeDeparted: true }) { totalCount } }"
TRIP: Final = """query($day: Date!) { searchTrips(input: {origin: "JFK", destination: "LHR", departsOn: $day}) {
  outbound { number } } }"""


async def test_the_demo_works_on_day_2_31_and_400(tmp_path: Path) -> None:
    clock = FakeClock(tmp_path)
    env = environment(tmp_path, admin_token=TOKEN) | clock.environment
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        serving_child(tmp_path, env) as child,
        Client(child.url, TOKEN) as api,
        httpx.AsyncClient(base_url=child.url, headers=bearer, timeout=60) as http,
    ):
        for days in (2, 31, 400):
            clock.step(days * DAY)
            now = time.time() + days * DAY
            (await http.post(RUN)).raise_for_status()

            async def reaches_30_days(now: float = now) -> list[float]:
                found: dict[str, Any] = (await api.query(NEXT))["flights"]
                assert found["totalCount"] >= 440
                return [datetime.fromisoformat(edge["node"]["departsAt"]).timestamp() for edge in found["edges"]]

            departures = await eventually(reaches_30_days, 60)
            assert min(departures) > now
            day = datetime.fromtimestamp(now + 5 * DAY, UTC).date().isoformat()
            outbound = (await api.query(TRIP, day=day))["searchTrips"]["outbound"]
            assert [flight["number"] for flight in outbound] == ["SS101"]
        assert (await api.query(ALL))["flights"]["totalCount"] > (await api.query(NEXT))["flights"]["totalCount"]
        played = await asyncio.to_thread(seatsaga_anew, "scenarios", "--url", child.url, env=env, folder=tmp_path)
        assert played.returncode == 0, played.stdout + played.stderr
