"""A saga that cannot be read, as operators and customers see it; and a release that must not start."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.app.airline import Airline, airline
from tests.support.children import environment, seatsaga, serving_child
from tests.support.waiting import eventually

LIST = """{ sagas(first: 10) { totalCount edges { node {
  correlationId status failure { code message } queue { pending executing compensations }
  flights { number } passengers { familyName } reservations { status } payment { status } booking { reference }
  events { type message failure { code } }
} } } }"""
RETRY = """mutation($id: UUID!) { retrySaga(input: {correlationId: $id}) {
  saga { status } errors { __typename ... on UserError { message } } } }"""


async def parked(served: Airline, correlation_id: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        found = (await served.api.query(LIST))["sagas"]["edges"]
        saga: dict[str, Any] = next(edge["node"] for edge in found if edge["node"]["correlationId"] == correlation_id)
        assert saga["status"] == "PARKED", saga
        return saga

    return await eventually(look, 20)


async def test_a_saga_that_cannot_be_read_is_listed_beside_all_others(database_url: str, tmp_path: Path) -> None:
    async with airline(database_url, tmp_path) as served:
        await served.ended(await served.book())
        bad = await served.book(simulate={"delayMs": 2_000})
        damage = text("UPDATE sagas SET context = '{oops' || context WHERE finished_at IS NULL")
        await served.backend.database.write(lambda connection: connection.execute(damage))
        await served.ended(await served.book())
        saga = await parked(served, bad)
        assert saga["failure"]["code"] == "UNREADABLE"
        assert "JSON" in saga["failure"]["message"]
        assert saga["flights"] == []
        assert saga["events"][-1]["type"] == "SAGA_PARKED"
        assert (await served.api.query(LIST))["sagas"]["totalCount"] == 3

        mend = text("UPDATE sagas SET context = substr(context, 6) WHERE context LIKE '{oops%'")
        await served.backend.database.write(lambda connection: connection.execute(mend))
        answer = (await served.api.query(RETRY, id=bad))["retrySaga"]
        assert answer["errors"] == []
        assert (await served.ended(bad))["status"] == "COMPLETED"


async def test_a_start_with_other_steps_than_unfinished_sagas_began_with_is_one_line_and_exit_code_2(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path)
    async with serving_child(tmp_path, env) as child:
        booked = seatsaga("scenarios", "--url", child.url, env=env, folder=tmp_path)
        assert booked.returncode == 0, booked.stdout + booked.stderr
        child.terminate()
    with closing(sqlite3.connect(tmp_path / "data" / "seatsaga.db")) as file, file:
        newest = "(SELECT max(id) FROM sagas)"
        file.execute(
            "UPDATE sagas SET status = 'RUNNING', finished_at = NULL, due_at = 0, definition_fingerprint = 'abc'"
            f" WHERE id = {newest}"
        )
    refused = seatsaga("serve", "--port", str(child.port), env=env, folder=tmp_path)
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.strip().splitlines()[-1:]
    assert "1 unfinished saga began with [abc]" in line
    assert "RESERVE_SEAT undone by CANCEL_SEAT" in line
    assert "Traceback" not in refused.stderr
