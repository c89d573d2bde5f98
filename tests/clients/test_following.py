"""Every Python family over everything that happens to a connection: no event is missing, none comes twice, and the
end is the saga's. All families live through an event together, so a server stops once for all of them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio
from seatsaga_client import ApiError, AsyncClient, Passenger, Timing

from tests.clients.families import FAMILIES, Follower
from tests.clients.snippets import PAGE
from tests.clients.tokens import customer, token
from tests.clients.weather import Weather
from tests.support.waiting import eventually

ADA: Final[Passenger] = {"givenName": "Ada", "familyName": "Lovelace"}
TIMING: Final = Timing(backoff_first=0.1, backoff_max=1.0)
#: A stream that says nothing for so long is lost; shorter than in life, so that nobody waits for it.
SLEEPLESS: Final = Timing(backoff_first=0.1, backoff_max=1.0, silence=1.0)
#: What a full server answers, by transport.
BUSY: Final = frozenset({"LIMIT_EXCEEDED", "HTTP_503", "CLOSE_1013"})

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Stage:
    """A customer with a saga that waits for the payment, whom all families follow."""

    def __init__(self, weather: Weather, timing: Timing, *, seconds: int = 3600) -> None:
        self.weather = weather
        self.subject = customer()
        self.tokens: dict[str, int] = dict.fromkeys(FAMILIES, 0)
        self.correlation_id = str(uuid.uuid4())
        self.followers = {
            name: Follower(family, weather.url, self._token_of(name, seconds), self.correlation_id, timing=timing)
            for name, family in FAMILIES.items()
        }

    def _token_of(self, name: str, seconds: int) -> Callable[[], str]:
        def fresh() -> str:
            self.tokens[name] += 1
            return token(self.subject, seconds=seconds)

        return fresh

    async def hold(self) -> None:
        """The seats are held, and every family has seen it."""
        async with AsyncClient(self.weather.server_url, token(self.subject)) as client:
            await client.hold(
                {
                    "correlationId": self.correlation_id,
                    "segments": [{"flightId": self.weather.flight}],
                    "passengers": [ADA],
                }
            )
        for follower in self.followers.values():
            await follower.has("STEP_WAITING")

    async def pay(self) -> None:
        """The saga goes on to its end."""
        async with AsyncClient(self.weather.server_url, token(self.subject)) as client:
            await client.pay(self.correlation_id)

    async def all_lost(self) -> None:
        await eventually(lambda: all(follower.lost for follower in self.followers.values()), 20)


async def slow_reader(stage: Stage) -> None:
    """The buffers of the first server are so small that each reader is slow at events that are committed together."""


async def stop(stage: Stage) -> None:
    await asyncio.to_thread(stage.weather.stop_server)
    await stage.all_lost()
    await asyncio.to_thread(stage.weather.start_server)


async def kill(stage: Stage) -> None:
    await asyncio.to_thread(stage.weather.kill_server)
    await stage.all_lost()
    await asyncio.to_thread(stage.weather.start_server)


async def expiry(stage: Stage) -> None:
    await eventually(lambda: min(stage.tokens.values()) > 1, 20)


async def busy(stage: Stage) -> None:
    # They are kept away until their places are taken, too.
    stage.weather.answer(502)
    while stage.weather.busy():
        pass
    stage.weather.flow()
    await eventually(lambda: all(BUSY & set(follower.lost) for follower in stage.followers.values()), 20)
    stage.weather.quiet()


async def proxy_502(stage: Stage) -> None:
    stage.weather.answer(502, times=2 * len(FAMILIES))
    await eventually(lambda: stage.weather.answered() == 2 * len(FAMILIES), 20)


async def proxy_503(stage: Stage) -> None:
    stage.weather.answer(503, retry_after=1, times=len(FAMILIES))
    await eventually(lambda: stage.weather.answered() == len(FAMILIES), 20)


async def cut(stage: Stage) -> None:
    assert stage.weather.cut() >= len(FAMILIES)
    await stage.all_lost()


async def sleep(stage: Stage) -> None:
    stage.weather.hang()
    await stage.all_lost()


PLAYS: Final[Mapping[str, tuple[Callable[[Stage], Awaitable[None]], Timing, int]]] = {
    "slow reader": (slow_reader, TIMING, 3600),
    "planned stop": (stop, TIMING, 3600),
    "kill": (kill, TIMING, 3600),
    "expired token": (expiry, TIMING, 2),
    "busy server": (busy, TIMING, 3600),
    "proxy's 502": (proxy_502, TIMING, 3600),
    "proxy's 503": (proxy_503, TIMING, 3600),
    "network cut": (cut, TIMING, 3600),
    "sleep": (sleep, SLEEPLESS, 3600),
}


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    with Weather(tmp_path_factory.mktemp("weather"), has_small_buffers=True) as weather:
        yield weather


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(weather: Weather) -> AsyncIterator[Callable[[str], Awaitable[Stage]]]:
    """Plays an event for all families, once."""
    stages: dict[str, Stage] = {}

    async def play(event: str) -> Stage:
        if event not in stages:
            happens, timing, seconds = PLAYS[event]
            stage = stages[event] = Stage(weather, timing, seconds=seconds)
            await stage.hold()
            await happens(stage)
            await stage.pay()
            await asyncio.wait([follower.task for follower in stage.followers.values()], timeout=30)
            await asyncio.to_thread(weather.calm)
        return stages[event]

    yield play


async def test_the_table_of_the_page_has_every_cell() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()]
    (head,) = [row for row in rows if row[0] == "Family"]
    found = {row[0]: row[1:] for row in rows if row[0] in FAMILIES and len(row) == len(head)}
    past = {"CURSOR_AHEAD": "told", "HISTORY_PRUNED": "told or skipped"}

    assert {*head[1:]} <= {*PLAYS, *past}
    assert found == {family: [past.get(event, "resumed") for event in head[1:]] for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("event", PLAYS)
async def test_a_follow_goes_on_to_the_end_of_its_saga(
    played: Callable[[str], Awaitable[Stage]], event: str, family: str
) -> None:
    follower = (await played(event)).followers[family]

    assert follower.task.done(), follower.events
    follower.task.result()
    assert follower.sequences == list(range(1, len(follower.events) + 1))
    assert follower.events[-1]["type"] == "SAGA_COMPLETED"
    assert follower.lost, "nothing has happened to it"
    assert "SLOW_CONSUMER" in follower.lost or event != "slow reader"


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_follow_ends_with_the_code_of_what_no_attempt_can_mend(weather: Weather, family: str) -> None:
    subject = customer()
    async with AsyncClient(weather.url, token(subject)) as client:
        saga = await client.book({"segments": [{"flightId": weather.flight}], "passengers": [ADA]})
        over = await client.wait(saga["correlationId"])

    async def code(bearer: str = token(subject), after: int = 0, **options: Any) -> str | list[int]:
        follower = Follower(
            FAMILIES[family],
            weather.url,
            lambda: bearer,
            saga["correlationId"],
            after=after,
            timing=TIMING,
            **options,
        )
        try:
            await asyncio.wait_for(follower.task, 20)
        except ApiError as error:
            return error.code
        return follower.sequences

    assert await code() == list(range(1, over["sequence"] + 1))
    assert await code(after=over["sequence"] + 1) == "CURSOR_AHEAD"
    assert await code(bearer="no token of ours") == "UNAUTHENTICATED"
    weather.prune(saga["correlationId"])
    assert await code() == "HISTORY_PRUNED"
    assert await code(pruned="skip") == [over["sequence"]]
