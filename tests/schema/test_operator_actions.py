"""What operators did, as operators read it, and who asked, as everybody may know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import text

from domain.clock import ManualClock
from domain.ids import new_id
from domain.jobs import Job, Jobs
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from schema.context import Viewer
from tests.schema.access_rules import ROOTS
from tests.schema.api import OPERATOR, OTHER, OWNER, Api
from tests.support.asking import operator
from tests.support.waiting import eventually

FIELDS: Final = "id at by { role subject } kind reason saga { correlationId } job requestId before after"
ACTIONS: Final = f"""query($filter: OperatorActionFilter, $first: Int! = 20, $after: String) {{
  operatorActions(filter: $filter, first: $first, after: $after) {{
    totalCount pageInfo {{ hasNextPage endCursor }} edges {{ cursor node {{ {FIELDS} }} }} }} }}"""
ACTORS: Final = "query($id: UUID!) { saga(correlationId: $id) { events { type actor { role subject } } } }"
#: What operators may ask of a saga, as GraphQL has it.
ASKED: Final[Mapping[str, str]] = {
    name: f"mutation($id: UUID!) {{ {name}(input: {{correlationId: $id{more}}}) {{ errors {{ __typename }} }} }}"
    for name, more in {
        "retrySaga": "",
        "cancelSaga": "",
        "skipStep": ', step: AUTHORIZE_PAYMENT, reason: " Voided. "',
    }.items()
}
#: Asked for in test_payment_provider.
OF_THE_PROVIDER: Final = {"pausePaymentProvider", "resumePaymentProvider"}
#: Asked for in test_stuck_sagas.
SETTLE: Final = {"settleSaga"}
#: What operators do for a customer: each has a test below.
FOR_CUSTOMERS: Final = {"bookFlight", "payForHold", "confirmCard", "cancelBooking"}
#: Asked for in test_bulk_actions.
OF_MANY_SAGAS: Final = {"startBulkAction", "stopBulkAction"}
KINDS: Final = {"retrySaga": "RETRY_SAGA", "cancelSaga": "CANCEL_SAGA", "skipStep": "SKIP_STEP"}


async def waiting(api: Api, clock: ManualClock, action: str) -> SagaView:
    """A saga that the action has something to do with."""
    if action == "cancelSaga":
        return await api.world.book(Simulation(delay_ms=5_000))
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",))
    saga = await api.world.book(simulation, member_number="SS0000001")
    return await api.world.hurried(saga, clock, SagaStatus.STUCK, seconds=60)


async def nodes(api: Api, viewer: Viewer = OPERATOR, /, **variables: Any) -> list[dict[str, Any]]:
    found = (await api.read(ACTIONS, viewer, **variables))["operatorActions"]
    return [edge["node"] for edge in found["edges"]]


def test_every_mutation_is_asked_for_here() -> None:
    there_are = {name for kind, _, name in (root.partition(".") for root in ROOTS) if kind == "Mutation"}
    assert there_are == {*ASKED, *OF_THE_PROVIDER, *SETTLE, *OF_MANY_SAGAS, *FOR_CUSTOMERS}, (
        "say here how these are asked for, and let them be recorded"
    )


@pytest.mark.parametrize("action", ASKED)
async def test_what_an_operator_does_is_on_the_record_and_in_the_sagas_history(
    api: Api, clock: ManualClock, action: str
) -> None:
    api = replace(api, request_id="request-1")
    saga = await waiting(api, clock, action)
    payload = (await api.read(ASKED[action], OPERATOR, id=saga.correlation_id))[action]
    assert payload["errors"] == []
    if action != "cancelSaga":
        await api.world.ended(saga)

    (entry,) = await nodes(api)

    assert (entry["kind"], entry["by"]) == (KINDS[action], {"role": "OPERATOR", "subject": OPERATOR.subject})
    assert entry["reason"] == ("Voided." if action == "skipStep" else None)
    assert (entry["saga"], entry["job"]) == ({"correlationId": saga.correlation_id}, None)
    assert entry["requestId"] == "request-1"
    assert entry["after"].startswith(entry["before"])
    again = f"query($id: ID!) {{ node(id: $id) {{ ... on OperatorAction {{ {FIELDS} }} }} }}"
    assert (await api.read(again, OPERATOR, id=entry["id"]))["node"] == entry

    own = "query($id: UUID!) { saga(correlationId: $id) { operatorActions { totalCount edges { node { id } } } } }"
    of_saga = {
        viewer.subject: (await api.read(own, viewer, id=saga.correlation_id))["saga"]["operatorActions"]
        for viewer in (OWNER, OPERATOR)
    }
    assert of_saga == {
        OWNER.subject: None,
        OPERATOR.subject: {"totalCount": 1, "edges": [{"node": {"id": entry["id"]}}]},
    }

    seen = {viewer.subject: await actors(api, saga, viewer) for viewer in (OWNER, OPERATOR)}
    customer = {"role": "CUSTOMER", "subject": OWNER.subject}
    assert seen[OPERATOR.subject][0] == seen[OWNER.subject][0] == ("SAGA_STARTED", customer)
    assert {tuple(who.items()) for _, who in seen[OPERATOR.subject][1:]} == {
        (("role", "OPERATOR"), ("subject", OPERATOR.subject))
    }
    assert {tuple(who.items()) for _, who in seen[OWNER.subject][1:]} == {(("role", "OPERATOR"), ("subject", None))}


async def actors(api: Api, saga: SagaView, viewer: Viewer) -> list[tuple[str, dict[str, Any]]]:
    events = (await api.read(ACTORS, viewer, id=saga.correlation_id))["saga"]["events"]
    return [(event["type"], event["actor"]) for event in events if event["actor"] is not None]


async def test_a_booking_that_an_operator_cancels_is_on_the_record_once(api: Api) -> None:
    asked = """mutation($it: String!) { cancelBooking(input: {reference: $it}) {
      saga { correlationId } errors { __typename } } }"""
    booking = await api.world.booking(await api.world.ended(await api.world.book()))
    assert booking is not None
    begun = [(await api.read(asked, OPERATOR, it=booking.reference))["cancelBooking"]["saga"] for _ in range(2)]

    (entry,) = await nodes(replace(api, request_id="request-1"))

    assert begun[0] == begun[1] == entry["saga"]
    assert (entry["kind"], entry["by"]["subject"]) == ("CANCEL_BOOKING", OPERATOR.subject)
    assert entry["before"] == f"booking {booking.reference} is CONFIRMED"
    assert entry["after"] == f"booking {booking.reference} is CONFIRMED; cancellation begun"


async def test_what_an_operator_pays_and_confirms_for_a_customer_is_on_the_record(api: Api) -> None:
    pay = """mutation($it: UUID!, $card: String!) { payForHold(input: {correlationId: $it, payment: {token: $card}}) {
      errors { __typename } } }"""
    confirm = "mutation($it: UUID!) { confirmCard(input: {correlationId: $it}) { errors { __typename } } }"
    card = "pm_card_authenticationRequired"
    saga = await api.world.book(pay_later=True)
    it = saga.correlation_id
    await eventually_waits(api, saga, "PaymentAwaited")
    # Said again, it changes nothing and is not recorded again.
    for _ in range(2):
        assert (await api.read(pay, OPERATOR, it=it, card=card))["payForHold"] == {"errors": []}
    await eventually_waits(api, saga, "CardConfirmationAwaited")
    assert (await api.read(confirm, OPERATOR, it=it))["confirmCard"] == {"errors": []}

    confirmed, paid = await nodes(api)

    assert [(entry["kind"], entry["saga"]) for entry in (paid, confirmed)] == [
        ("PAY_FOR_HOLD", {"correlationId": it}),
        ("CONFIRM_CARD", {"correlationId": it}),
    ]
    assert paid["after"] == "WAITING for PAYMENT; card given"
    assert card not in str((paid, confirmed))


async def eventually_waits(api: Api, saga: SagaView, kind: str) -> None:
    asked = "query($it: UUID!) { saga(correlationId: $it) { awaiting { __typename } } }"

    async def waits() -> bool:
        return bool((await api.read(asked, OWNER, it=saga.correlation_id))["saga"]["awaiting"] == {"__typename": kind})

    await eventually(waits)


@pytest.mark.parametrize(("member", "is_recorded"), [("SS0000001", True), ("SS0000009", False), (None, False)])
async def test_a_booking_that_uses_anothers_account_is_on_the_record(
    api: Api, member: str | None, is_recorded: bool
) -> None:
    asked = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
      saga { correlationId } errors { __typename } } }"""
    wish = {
        "segments": [{"flightId": api.flight_id()}],
        "passengers": [{"givenName": "John", "familyName": "Smith"}],
        "loyalty": None if member is None else {"memberNumber": member},
    }
    viewer = replace(OPERATOR, member_number="SS0000009")
    begun = (await api.with_closed_accounts().read(asked, viewer, input=wish))["bookFlight"]
    assert begun["errors"] == []

    found = [(entry["kind"], entry["saga"], entry["before"]) for entry in await nodes(api)]
    assert found == ([("BOOK_FLIGHT", begun["saga"], "member SS0000001")] if is_recorded else [])


async def test_what_a_customer_does_is_in_the_history_alone(api: Api) -> None:
    saga = await api.world.book(Simulation(delay_ms=5_000))
    await api.read(ASKED["cancelSaga"], OWNER, id=saga.correlation_id)

    assert await nodes(api) == []
    customer = {"role": "CUSTOMER", "subject": OWNER.subject}
    assert await actors(api, saga, OWNER) == [("SAGA_STARTED", customer), ("CANCEL_REQUESTED", customer)]


async def test_a_hold_that_lapsed_was_let_go_by_the_scheduler(api: Api, clock: ManualClock) -> None:
    saga = await api.world.book(Simulation(delay_ms=5_000))
    await api.world.step_reached(saga, "RESERVE_SEAT", StepStatus.COMPLETED)
    # Else the saga may find out by itself.
    await api.world.engine.runner.stop()
    clock.advance(901)
    await api.world.bookings.release_expired()

    assert dict(await actors(api, saga, OWNER))["HOLD_EXPIRED"] == {"role": "SCHEDULER", "subject": None}


async def test_the_record_is_paged_filtered_and_counted(api: Api, clock: ManualClock) -> None:
    jobs = Jobs(api.world.database, [Job("sweep", "Sweeps.", 30)])
    for subject in ("ada", "grace", "ada"):
        await jobs.request_run("sweep", operator(subject))
        await jobs.claim_request("sweep")
        clock.advance(1)
    saga = await api.world.book(Simulation(delay_ms=5_000))
    await api.read(ASKED["cancelSaga"], OPERATOR, id=saga.correlation_id)

    page = (await api.read(ACTIONS, OPERATOR, first=2))["operatorActions"]
    rest = (await api.read(ACTIONS, OPERATOR, first=2, after=page["pageInfo"]["endCursor"]))["operatorActions"]
    entries = [edge["node"] for edge in page["edges"] + rest["edges"]]

    assert [entry["kind"] for entry in entries] == ["CANCEL_SAGA", "JOB_RUN", "JOB_RUN", "JOB_RUN"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (4, True, False)

    async def found(**filter_: Any) -> list[str]:
        return [entry["id"] for entry in await nodes(api, filter=filter_)]

    every = [entry["id"] for entry in entries]
    assert await found(kind=["CANCEL_SAGA"]) == every[:1]
    assert await found(kind=[]) == every
    assert await found(subject="ada") == [every[1], every[3]]
    assert await found(correlationId=saga.correlation_id) == every[:1]
    assert await found(correlationId="00000000-0000-4000-8000-000000000000") == []
    assert await found(after=entries[1]["at"]) == every[:2]
    assert await found(before=entries[1]["at"]) == every[2:]


async def test_a_kind_that_a_newer_release_has_is_answered_by_its_name(api: Api) -> None:
    statement = text("INSERT INTO operator_actions (id, at, role, kind) VALUES (:id, 1, 'OPERATOR', 'BULK_START')")
    await api.world.database.write(lambda connection: connection.execute(statement, {"id": new_id()}))

    (entry,) = await nodes(api)

    assert (entry["kind"], entry["by"], entry["at"]) == (
        "BULK_START",
        {"role": "OPERATOR", "subject": None},
        "1970-01-01T00:00:00.000001Z",
    )


@pytest.mark.parametrize("viewer", [OWNER, OTHER])
async def test_the_record_is_for_operators_alone(api: Api, viewer: Viewer) -> None:
    assert (await api.ask(ACTIONS, viewer)).code == "FORBIDDEN"
