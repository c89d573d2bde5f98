"""Ten times as many at once as the server takes on: what it accepts it ends, the rest it tells when to come back."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.children import Child, environment, seatsaga, serving_child

SAGAS_MAX: Final = 16
CROWD: Final = 10 * SAGAS_MAX
FLIGHTS: Final = 20
#: The server's own, beyond what it had before; a hundredth of what it would need to keep a crowd in memory for good.
GROWTH_KIB_MAX: Final = 100 * 1024
SECONDS_MAX: Final = 55
BOOK: Final = """mutation($i: BookFlightInput!) { bookFlight(input: $i) {
  saga { correlationId } errors { __typename } } }"""
END: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) { status } }"
FLIGHT_IDS: Final = f"{{ flights(first: {FLIGHTS}) {{ edges {{ node {{ id }} }} }} }}"
#: So that a saga takes a moment, and one in four undoes what it did.
SLOWLY: Final = {"delayMs": 200}
FATES: Final[list[dict[str, Any]]] = [SLOWLY, SLOWLY, SLOWLY, SLOWLY | {"failAt": ["CONFIRM_BOOKING"]}]


@dataclass
class Seen:
    """What the crowd was told, and how the server was meanwhile."""

    accepted: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    active: list[float] = field(default_factory=list)
    memory_kib: list[int] = field(default_factory=list)


@dataclass
class Crowd:
    """Everybody's clients, each with a connection of its own."""

    http: httpx.AsyncClient
    child: Child
    seen: Seen

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def book(self, number: int, flights: list[str]) -> str:
        """Book, coming back when told to and not before, until let in; returns how the saga ended."""
        wish = {
            "correlationId": str(uuid.uuid4()),
            "segments": [{"flightId": flights[number % len(flights)]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
            "simulate": FATES[number % len(FATES)],
        }
        while "errors" in (answer := await self.ask(BOOK, i=wish)):
            (error,) = answer["errors"]
            self.seen.refused.append(error["extensions"])
            await asyncio.sleep(error["extensions"]["retryAfterSeconds"])
        payload = answer["data"]["bookFlight"]
        assert payload["errors"] == []
        self.seen.accepted.append(payload["saga"]["correlationId"])
        ended = await self.ask(END, id=wish["correlationId"])
        status: str = ended["data"]["saga"]["status"]
        return status

    async def look(self, flights: list[str]) -> None:
        """See again and again that it is alive, answers questions, and stays as small as it was."""
        while True:
            assert (await self.http.get("/healthz")).status_code == 200
            found = await self.ask("query($id: ID!) { flight(id: $id) { seatsAvailable } }", id=flights[0])
            assert found["data"]["flight"]["seatsAvailable"] > 0
            metrics = (await self.http.get("/metrics")).text
            (line,) = [line for line in metrics.splitlines() if line.startswith("seatsaga_sagas_in_flight ")]
            self.seen.active.append(float(line.split()[1]))
            self.seen.memory_kib.append(resident_kib(self.child))
            await asyncio.sleep(0.05)


def resident_kib(child: Child) -> int:
    """The server's memory, but for the pages of the file that it has mapped."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon:")).split()[1])


@pytest.fixture
def env(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    if backend == "sqlite":
        return environment(tmp_path, sagas_active_max=str(SAGAS_MAX))
    env = environment(tmp_path, request.getfixturevalue("database_url"), sagas_active_max=str(SAGAS_MAX))
    filled = seatsaga("seed", env=env, folder=tmp_path)
    assert filled.returncode == 0, filled.stderr
    return env


@asynccontextmanager
async def crowd_of(child: Child) -> AsyncIterator[Crowd]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=child.url, limits=limits, timeout=30) as http:
        yield Crowd(http, child, Seen())


async def test_in_a_stampede_all_that_is_accepted_ends_and_the_rest_is_told_when_to_come_back(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with serving_child(tmp_path, env) as child, crowd_of(child) as crowd, asyncio.timeout(SECONDS_MAX):
        found = await crowd.ask(FLIGHT_IDS)
        flights = [edge["node"]["id"] for edge in found["data"]["flights"]["edges"]]
        before_kib = resident_kib(child)
        looking = asyncio.create_task(crowd.look(flights))

        ends = await asyncio.gather(*(crowd.book(number, flights) for number in range(CROWD)))

        looking.cancel()
        await asyncio.wait({looking})
        assert looking.cancelled(), "it answered all the while"
        seen = crowd.seen
        # All came in at last, each once, and ended as it should.
        assert len(set(seen.accepted)) == CROWD
        assert Counter(ends) == {"COMPLETED": CROWD * 3 // 4, "COMPENSATED": CROWD // 4}
        # Many were refused at first, and told why and when to come back.
        assert len(seen.refused) >= SAGAS_MAX
        assert {(told["code"], told["limit"]) for told in seen.refused} == {("LIMIT_EXCEEDED", SAGAS_MAX)}
        assert all(1 <= told["retryAfterSeconds"] <= 60 for told in seen.refused)
        # No more than that were ever in flight, and none of the crowd is kept.
        assert 0 < max(seen.active) <= SAGAS_MAX
        assert max(seen.memory_kib) - before_kib < GROWTH_KIB_MAX
        doctor = await asyncio.to_thread(seatsaga, "doctor", env=env, folder=tmp_path)
        assert doctor.returncode == 0, doctor.stdout
