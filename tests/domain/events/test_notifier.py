"""What one replica commits another hears of at once; and where nothing is heard, it is found all the same."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from domain.events import EventType, Hint, Notifier, SagaEvent
from domain.events.notifier import PENDING_SAGAS_MAX
from domain.storage import Server
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


class Listener:
    """A notifier, and all that it has heard."""

    def __init__(self, url: str) -> None:
        self.heard: list[Hint] = []
        self.anything = 0
        self.notifier = Notifier(Server(make_url(url)), self._hear)

    def _hear(self, hints: Sequence[Hint] | None) -> None:
        if hints is None:
            self.anything += 1
        else:
            self.heard += hints


def hint(first: int = 1, last: int = 1, *, ended: bool = False) -> Hint:
    return Hint(str(uuid.uuid4()), str(uuid.uuid4()), first, last, ended)


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Listener, Listener]]:
    """Two that listen."""
    listeners = Listener(database_url), Listener(database_url)
    async with asyncio.timeout(30):
        for listener in listeners:
            await listener.notifier.start()
            await listener.notifier.listening()
        yield listeners
        for listener in listeners:
            await listener.notifier.stop()


async def test_a_hint_reaches_the_others_and_not_oneself(pair: tuple[Listener, Listener]) -> None:
    one, other = pair
    said = hint(3, 7, ended=True)
    one.notifier.say(said)

    await eventually(lambda: other.heard == [said])
    assert one.heard == []


async def test_what_is_told_of_one_saga_in_a_moment_is_one_hint(pair: tuple[Listener, Listener]) -> None:
    one, other = pair
    saga_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
    kinds = [EventType.SAGA_STARTED, EventType.STEP_STARTED, EventType.SAGA_COMPLETED]
    one.notifier.tell(
        SagaEvent(saga_id, correlation_id, number, kind, None, None, None, "", None, 0)
        for number, kind in enumerate(kinds, 1)
    )

    await eventually(lambda: other.heard == [Hint(saga_id, correlation_id, 1, 3, ended=True)])


async def test_hints_of_many_sagas_all_arrive_in_few_messages(pair: tuple[Listener, Listener]) -> None:
    one, other = pair
    said = [hint(1, number) for number in range(1, 1_001)]
    for each in said:
        one.notifier.say(each)

    await eventually(lambda: sorted(other.heard, key=str) == sorted(said, key=str))
    assert one.notifier.sent < 10


async def test_more_than_can_be_kept_is_told_as_anything_may_have_changed(pair: tuple[Listener, Listener]) -> None:
    one, other = pair
    before = other.anything
    for _ in range(PENDING_SAGAS_MAX + 1):
        one.notifier.say(hint())

    await eventually(lambda: other.anything == before + 1)
    assert other.heard == []


async def test_what_a_newer_release_says_in_its_own_way_counts_as_anything(
    pair: tuple[Listener, Listener], database_url: str
) -> None:
    one, _ = pair
    before = one.anything
    stranger = await Server(make_url(database_url)).connect()
    await stranger.execute("SELECT pg_notify('seatsaga_sagas', 'in another way')")
    await stranger.close()

    await eventually(lambda: one.anything == before + 1)


async def test_a_lost_connection_is_made_again_and_all_is_looked_at(
    pair: tuple[Listener, Listener], database_url: str
) -> None:
    one, other = pair
    before = other.anything
    await hang_up_all(database_url)

    await eventually(lambda: other.anything > before and one.notifier.is_listening and other.notifier.is_listening)
    said = hint()
    one.notifier.say(said)

    await eventually(lambda: said in other.heard)


async def hang_up_all(database_url: str) -> None:
    """End every session on this database but our own."""
    operator: asyncpg.Connection = await Server(make_url(database_url)).connect()
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    await operator.close()
