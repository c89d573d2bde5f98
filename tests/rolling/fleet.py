"""Replicas behind which buyers stand: each tries the next replica where one does not answer, with the same order."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from seatsaga_client import ApiError

from app.client import Client
from tests.rolling.releases import Release
from tests.support.children import Child, seatsaga, serving_child

__all__ = ["LEASE_SECONDS", "Fleet", "fleet"]

LEASE_SECONDS: Final = 3
BUYERS: Final = 2
PAUSE_SECONDS: Final = 0.2
_TRIES_MAX: Final = 200
_TOKEN: Final = "the operators' token"
_BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
_CANCEL: Final = """mutation($id: UUID!) { cancelSaga(input: { correlationId: $id }) {
  saga { status } errors { __typename ... on UserError { message } } } }"""
_SAGA: Final = """query($id: UUID!) { saga(correlationId: $id) {
  status definitionVersion steps { name status } queue { completed compensated } } }"""
#: What buyers ask for in turn: some fail on the way.
_ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"simulate": {"failAt": ["AWARD_MILES"]}},
    {"loyalty": {"memberNumber": "SS0000002", "pointsToRedeem": 100}},
    {"simulate": {"delayMs": 100}},
    {"simulate": {"failAt": ["CONFIRM_BOOKING"]}},
)


@dataclass
class Fleet:
    """The replicas that are to be in service, and the correlation IDs of everything that was accepted.

    Buyers may buy the first flight out; what `book` is asked for by the test has the second one.
    """

    database_url: str
    folder: Path
    flight_ids: list[str]
    replicas: list[Child] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _clients: dict[int, Client] = field(default_factory=dict)
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    async def start(self, release: Release, *, at: Child | None = None) -> Child:
        """One more replica of `release` that is ready; at the place of one that is gone where that is named."""
        number = next(self._turn)
        folder = self.folder / f"replica-{number}"
        folder.mkdir()
        serving = serving_child(folder, self._environment(release, folder), port=at.port if at else None)
        child = await self._stack.enter_async_context(serving)
        self.replicas.append(child)
        return child

    async def stop(self, child: Child) -> None:
        """SIGTERM; it ends as it should."""
        self.replicas.remove(child)
        assert await asyncio.to_thread(child.terminate) == 0, child.output.read_text()

    async def kill(self, child: Child) -> None:
        """SIGKILL."""
        await asyncio.to_thread(child.kill)
        self.replicas.remove(child)

    async def run(self, release: Release, *command: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command of `release`."""
        env = self._environment(release, self.folder)
        ended = await asyncio.to_thread(seatsaga, *command, env=env, folder=self.folder)
        return ended.returncode, ended.stdout.strip(), ended.stderr.strip()

    async def book(self, child: Child, *, correlation_id: str | None = None, **order: Any) -> str:
        """Start a booking of one seat for a member on this replica; its correlation ID."""
        wanted = {
            "correlationId": correlation_id or str(uuid.uuid4()),
            "segments": [{"flightId": self.flight_ids[1]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
            "loyalty": {"memberNumber": "SS0000001"},
            **order,
        }
        answer = (await self._client(child).query(_BOOK, input=wanted))["bookFlight"]
        assert answer["errors"] == [], answer
        accepted: str = answer["saga"]["correlationId"]
        self.accepted.append(accepted)
        return accepted

    async def cancel(self, child: Child, correlation_id: str) -> None:
        """Ask for it on this replica, which takes it."""
        answer = (await self._client(child).query(_CANCEL, id=correlation_id))["cancelSaga"]
        assert answer["errors"] == [], answer

    async def saga(self, child: Child, correlation_id: str) -> dict[str, Any]:
        """The saga as this replica shows it."""
        saga: dict[str, Any] = (await self._client(child).query(_SAGA, id=correlation_id))["saga"]
        return saga

    async def ended(self, child: Child, correlation_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """The saga once it is over, followed on this replica: its events have no gap."""
        async with asyncio.timeout(seconds):
            numbers = [event["sequence"] async for event in self._client(child).follow(correlation_id)]
        assert numbers == list(range(1, len(numbers) + 1))
        return await self.saga(child, correlation_id)

    @asynccontextmanager
    async def buyers(self) -> AsyncIterator[None]:
        """Buyers who go on buying while the block lasts; none of them may meet an error."""
        stop = asyncio.Event()
        buying = [asyncio.create_task(self._buy(stop, number)) for number in range(BUYERS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*buying)

    async def _buy(self, stop: asyncio.Event, first: int) -> None:
        for number in itertools.count(first):
            if stop.is_set():
                return
            await self._place(str(uuid.uuid4()), _ORDERS[number % len(_ORDERS)])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _place(self, correlation_id: str, order: dict[str, Any]) -> None:
        first = [{"flightId": self.flight_ids[0]}]
        for tried in range(_TRIES_MAX):
            child = self.replicas[tried % len(self.replicas)]
            try:
                await self.book(child, correlation_id=correlation_id, segments=first, **order)
                return
            except ApiError:
                await asyncio.sleep(0.05)
        raise AssertionError(f"no replica took the order {correlation_id}")

    def _client(self, child: Child) -> Client:
        """To make one costs more than to ask: it reads the certificates."""
        if child.port not in self._clients:
            client = self._clients[child.port] = Client(child.url, _TOKEN)
            self._stack.push_async_exit(client)
        return self._clients[child.port]

    def _environment(self, release: Release, folder: Path) -> dict[str, str]:
        return release.environment(
            folder, self.database_url, admin_token=_TOKEN, lease_seconds=str(LEASE_SECONDS), sagas_active_max="500"
        )


@asynccontextmanager
async def fleet(database_url: str, folder: Path, flight_ids: list[str]) -> AsyncIterator[Fleet]:
    """A fleet without replicas; those that there are at the end are killed."""
    async with AsyncExitStack() as stack:
        yield Fleet(database_url, folder, flight_ids, _stack=stack)
