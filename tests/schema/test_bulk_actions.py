"""Bulk actions as operators ask for them over the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation
from schema.context import Scope
from tests.schema.api import OPERATOR, Api

REPORT: Final = """id kind status by { role subject } reason filter step sagasPerSecond finishedAt matched
  done passedOver byStatus { status count } passedOverBecause { reason sagas }"""
START: Final = f"""mutation($input: StartBulkActionInput!) {{ startBulkAction(input: $input) {{
  matched bulkAction {{ {REPORT} }} errors {{ ... on InvalidInputError {{ message path code }} }} }} }}"""
STOP: Final = f"""mutation($id: ID!) {{ stopBulkAction(input: {{id: $id}}) {{
  bulkAction {{ {REPORT} }} errors {{ path code }} }} }}"""
FOLLOW: Final = f"subscription($id: ID!) {{ bulkAction(id: $id) {{ {REPORT} }} }}"
RECORD: Final = "{ operatorActions { edges { node { kind reason requestId saga { id } bulkAction { id } } } } }"
MANY: Final[dict[str, Any]] = {"kind": "RETRY", "filter": {"status": ["STUCK"]}, "reason": "The provider is back."}


async def stuck(api: Api, clock: ManualClock) -> SagaView:
    saga = await api.world.book(Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("CANCEL_PAYMENT",)))
    return await api.world.hurried(saga, clock, SagaStatus.STUCK, seconds=60)


async def start(api: Api, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await api.read(START, OPERATOR, input=MANY | changes))["startBulkAction"]
    return found


async def test_it_is_counted_started_followed_and_on_the_record(api: Api, clock: ManualClock) -> None:
    api = replace(api, request_id="request-1")
    saga = await stuck(api, clock)

    assert await start(api, dryRun=True) == {"matched": 1, "bulkAction": None, "errors": []}
    started = await start(api, expected=1)
    action = started["bulkAction"]
    assert (started["matched"], action["status"], action["by"]) == (
        1,
        "RUNNING",
        {"role": "OPERATOR", "subject": "operator"},
    )
    assert (action["filter"], action["sagasPerSecond"]) == ('{"status": ["STUCK"]}', 10)
    api.services.bulk.start()
    try:
        async with api.subscribe(FOLLOW, OPERATOR, id=action["id"]) as stream:
            last = (await stream.rest())[-1].good["bulkAction"]
        await api.world.ended(saga)
    finally:
        await api.services.bulk.stop()

    assert (last["status"], last["done"], last["passedOver"]) == ("DONE", 1, 0)
    reports = (
        f"query($id: ID!) {{ bulkAction(id: $id) {{ {REPORT} }} node(id: $id) {{ id }} "
        f"bulkActions {{ totalCount edges {{ node {{ {REPORT} }} }} }} }}"
    )
    read = await api.read(reports, OPERATOR, id=action["id"])
    assert read["bulkAction"]["byStatus"] == [{"status": "COMPENSATED", "count": 1}]
    assert read["node"] == {"id": action["id"]}
    assert read["bulkActions"] == {"totalCount": 1, "edges": [{"node": read["bulkAction"]}]}
    edges = (await api.read(RECORD, OPERATOR))["operatorActions"]["edges"]
    kinds = [edge["node"]["kind"] for edge in edges]
    assert kinds == ["RETRY_SAGA", "BULK_START"]
    for edge in edges:
        assert (edge["node"]["reason"], edge["node"]["requestId"]) == ("The provider is back.", "request-1")
        assert edge["node"]["bulkAction"] == {"id": action["id"]}


async def test_it_is_stopped_and_stays_so(api: Api, clock: ManualClock) -> None:
    await stuck(api, clock)
    action = (await start(api))["bulkAction"]

    for _ in range(2):
        stopped = (await api.read(STOP, OPERATOR, id=action["id"]))["stopBulkAction"]
        assert (stopped["bulkAction"]["status"], stopped["errors"]) == ("STOPPED", [])
    unknown = (await api.read(STOP, OPERATOR, id="nothing"))["stopBulkAction"]
    assert unknown == {"bulkAction": None, "errors": [{"path": ["input", "id"], "code": "BULK_ACTION_NOT_FOUND"}]}
    async with api.subscribe(FOLLOW, OPERATOR, id="nothing") as stream:
        assert (await stream.next()).code == "NOT_FOUND"


async def test_what_is_asked_for_wrongly_has_its_place_and_code(api: Api, clock: ManualClock) -> None:
    await stuck(api, clock)
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"reason": ""}, "reason", "REASON_INVALID"),
        ({"kind": "SKIP"}, "step", "STEP_MISSING"),
        ({"step": "CANCEL_SEAT"}, "step", "STEP_NOT_TAKEN"),
        ({"sagasPerSecond": 0}, "sagasPerSecond", "PACE_OUT_OF_RANGE"),
        ({"filter": {}}, "filter", "FILTER_EMPTY"),
        ({"filter": {"status": []}}, "filter", "FILTER_EMPTY"),
        ({"expected": 2}, "expected", "MATCHES_DIFFER"),
    ]
    for changes, place, code in wrong:
        refused = await start(api, **changes)
        assert refused["bulkAction"] is None
        (error,) = refused["errors"]
        assert (error["path"], error["code"]) == (["input", place], code)
    assert await start(api, filter={"flightId": "nothing"}) == {"matched": 0, "bulkAction": None, "errors": []}


async def test_an_operator_who_may_mend_and_not_read_follows_their_own_actions_only(
    api: Api, clock: ManualClock
) -> None:
    await stuck(api, clock)
    theirs = (await start(api))["bulkAction"]
    mender = replace(OPERATOR, subject="mender", granted=frozenset({Scope.SAGAS_MEND}))
    own = (await api.read(START, mender, input=MANY))["startBulkAction"]["bulkAction"]
    look = f"query($id: ID!) {{ bulkAction(id: $id) {{ {REPORT} }} }}"
    assert (await api.read(look, mender, id=own["id"]))["bulkAction"]["id"] == own["id"]
    assert (await api.read(look, mender, id=theirs["id"])) == {"bulkAction": None}
    assert (await api.ask("{ bulkActions { totalCount } }", mender)).code == "FORBIDDEN"

    assert (await api.read(STOP, mender, id=theirs["id"]))["stopBulkAction"] == {"bulkAction": None, "errors": []}
    assert (await api.read(STOP, mender, id=own["id"]))["stopBulkAction"]["bulkAction"]["status"] == "STOPPED"
    async with api.subscribe(FOLLOW, mender, id=own["id"]) as stream:
        assert (await stream.rest())[-1].good["bulkAction"]["status"] == "STOPPED"
    async with api.subscribe(FOLLOW, mender, id=theirs["id"]) as stream:
        assert (await stream.rest())[-1].errors[0].extensions["code"] == "NOT_FOUND"
    seen = await api.read("query($id: ID!) { bulkAction(id: $id) { status } }", OPERATOR, id=theirs["id"])
    assert seen == {"bulkAction": {"status": "STOPPED"}}
