"""A server is killed in the middle of a bulk action: the next one loses nothing, repeats nothing and keeps the pace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import text

from domain.clock import SECOND
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.storage import Database
from schema.ids import key_of
from tests.app.whole import fill
from tests.support.children import Child, environment, serving_child
from tests.support.waiting import eventually

TOKEN: Final = "a token for operators"
SAGAS: Final = 40
PER_SECOND: Final = 20
#: The most sagas of one turn at this pace.
TURN_SAGAS: Final = 5
STUCK: Final = {"failAt": ["CONFIRM_BOOKING"], "failCompensationAt": ["CANCEL_PAYMENT"]}
BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { id } errors { ... on UserError { message } } } }"""
START: Final = f"""mutation {{ startBulkAction(input: {{
  kind: RETRY, filter: {{status: STUCK}}, reason: "The provider is back.", expected: {SAGAS},
  sagasPerSecond: {PER_SECOND}}}) {{ bulkAction {{ id }} errors {{ ... on UserError {{ message }} }} }} }}"""
AGAIN: Final = """mutation { startBulkAction(input: {
  kind: RETRY, filter: {status: STUCK}, reason: "Again.", sagasPerSecond: 100}) { matched } }"""
LOOK: Final = """query($id: ID!) { bulkAction(id: $id) {
  status matched done passedOver byStatus { status count } } }"""
COUNT: Final = """{ sagas(filter: {status: STUCK}) { totalCount } }"""


async def ask(server: Child, document: str, **variables: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as http:
        answer = await http.post(f"{server.url}/graphql", json={"query": document, "variables": variables})
    body = answer.json()
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


async def stuck_sagas(server: Child) -> None:
    """SAGAS bookings that cannot give their money back."""
    flights = (await ask(server, "{ flights { edges { node { id } } } }"))["flights"]["edges"]
    for number in range(SAGAS):
        wish = {
            "segments": [{"flightId": flights[number % len(flights)]["node"]["id"]}],
            "passengers": [{"givenName": "John", "familyName": "Smith"}],
            "simulate": STUCK,
        }
        booked = (await ask(server, BOOK, input=wish))["bookFlight"]
        assert booked["errors"] == []

    async def all_stuck() -> bool:
        return bool((await ask(server, COUNT))["sagas"]["totalCount"] == SAGAS)

    await eventually(all_stuck, 60)


async def begun(server: Child) -> str:
    started = (await ask(server, START))["startBulkAction"]
    assert started["errors"] == []
    found: str = started["bulkAction"]["id"]
    return found


async def look(server: Child, action: str) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(server, LOOK, id=action))["bulkAction"]
    return found


async def finished(server: Child, action: str) -> dict[str, Any]:
    """The report of the action once it is over, and each of its sagas is undone.

    A saga whose call was out when its server was killed is stuck again. Another action ends it.
    """

    async def is_done() -> dict[str, Any]:
        found = await look(server, action)
        assert found["status"] == "DONE", found
        return found

    report = await eventually(is_done, 60)

    async def are_undone() -> bool:
        await ask(server, AGAIN)
        found = await look(server, action)
        assert found["byStatus"] == [{"status": "COMPENSATED", "count": SAGAS}], found
        return True

    await eventually(are_undone, 60)
    return report


async def recorded(url: str, action: str) -> list[OperatorAction]:
    """The action's entries about sagas, oldest first."""
    database = Database(url)
    try:
        async with database.reading() as connection:
            query = ActionQuery(kinds=["RETRY_SAGA"])
            found = await page_actions(connection, query, after=None, limit=1_000)
            return [entry for entry in found if entry.bulk_action_id == action][::-1]
    finally:
        await database.close()


def assert_each_was_done_once_at_the_pace(entries: Sequence[OperatorAction]) -> None:
    assert Counter(Counter(entry.saga_id for entry in entries).values()) == {1: SAGAS}
    times = [entry.at for entry in entries]
    most = max(sum(at <= other < at + SECOND for other in times) for at in times)
    assert most <= PER_SECOND + TURN_SAGAS


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> dict[str, str]:
    return environment(tmp_path, database_url, admin_token=TOKEN, auth="none", lease_seconds="3")


async def test_a_kill_in_the_middle_loses_nothing_and_repeats_nothing(
    env: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    await fill(database_url)
    async with serving_child(tmp_path, env) as server:
        await stuck_sagas(server)
        action = await begun(server)

        async def is_in_the_middle() -> bool:
            return 0 < int((await look(server, action))["done"]) < SAGAS

        await eventually(is_in_the_middle)
        server.kill()
    before = len(await recorded(database_url, key_of(action, "BulkAction") or ""))
    assert 0 < before < SAGAS
    async with serving_child(tmp_path, env) as server:
        report = await finished(server, action)

    assert (report["matched"], report["done"], report["passedOver"]) == (SAGAS, SAGAS, 0)
    assert_each_was_done_once_at_the_pace(await recorded(database_url, key_of(action, "BulkAction") or ""))


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_two_replicas_share_the_turns_and_one_may_die(
    env: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    await fill(database_url)
    async with serving_child(tmp_path, env) as first, serving_child(tmp_path, env) as second:
        await stuck_sagas(first)
        action = await begun(second)

        async def is_in_the_middle() -> bool:
            return SAGAS / 2 <= int((await look(first, action))["done"]) < SAGAS

        await eventually(is_in_the_middle)
        second.kill()
        report = await finished(first, action)

    assert (report["matched"], report["done"], report["passedOver"]) == (SAGAS, SAGAS, 0)
    assert_each_was_done_once_at_the_pace(await recorded(database_url, key_of(action, "BulkAction") or ""))


async def test_a_database_that_is_away_for_a_while_delays_the_rest(
    env: dict[str, str], database_url: str, tmp_path: Path, backend: str
) -> None:
    """Nobody can write for a while."""
    await fill(database_url)
    async with serving_child(tmp_path, env) as server:
        await stuck_sagas(server)
        action = await begun(server)

        async def is_in_the_middle() -> bool:
            return 0 < int((await look(server, action))["done"]) < SAGAS

        await eventually(is_in_the_middle)
        database = Database(database_url)
        async with database.writing() as connection:
            # On SQLite the write lock is held already.
            if backend == "postgresql":
                await connection.execute(text("LOCK TABLE sagas, bulk_actions IN EXCLUSIVE MODE"))
            during = int((await look(server, action))["done"])
            assert during < SAGAS
        await database.close()
        report = await finished(server, action)

    assert (report["done"], report["passedOver"]) == (SAGAS, 0)
    assert_each_was_done_once_at_the_pace(await recorded(database_url, key_of(action, "BulkAction") or ""))
