"""What wants an operator: stuck sagas in their order, found by what they are stuck with, and what was given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation
from tests.domain.bookings.world import ADA
from tests.schema.api import OPERATOR, OWNER, Api
from tests.support.waiting import eventually

LIST: Final = """query($filter: SagaFilter, $first: Int! = 20, $after: String, $orderBy: SagaOrder! = NEWEST_FIRST) {
  sagas(filter: $filter, first: $first, after: $after, orderBy: $orderBy) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { correlationId status stuckSince } } } }"""
SETTLE: Final = """mutation($id: UUID!, $how: String!) { settleSaga(input: {correlationId: $id, how: $how}) {
  saga { settlement { at how by { role subject } } } errors { __typename ... on UserError { path message } } } }"""
SETTLEMENT: Final = "query($id: UUID!) { saga(correlationId: $id) { settlement { how } stuckSince } }"
RETRY: Final = """mutation($id: UUID!, $reason: String) { retrySaga(input: {correlationId: $id, reason: $reason}) {
  errors { __typename ... on UserError { path } } } }"""
CANCEL: Final = RETRY.replace("retrySaga", "cancelSaga")
SKIP: Final = """mutation($id: UUID!) {
  skipStep(input: {correlationId: $id, step: AUTHORIZE_PAYMENT, reason: "Voided."}) { errors { __typename } } }"""
ACTIONS: Final = "{ operatorActions { edges { node { kind reason before after by { subject } } } } }"


async def listed(api: Api, **variables: Any) -> list[str]:
    """The correlation IDs of a list, page by page of one saga, in their order; and it counts as many."""
    found: list[str] = []
    after = None
    while True:
        page = (await api.read(LIST, OPERATOR, **variables, first=1, after=after))["sagas"]
        found += [edge["node"]["correlationId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    whole = (await api.read(LIST, OPERATOR, **variables))["sagas"]
    assert [edge["node"]["correlationId"] for edge in whole["edges"]] == found
    assert whole["totalCount"] == len(found)
    return found


async def stuck(api: Api, clock: ManualClock, undo: str = "CANCEL_PAYMENT") -> SagaView:
    """A saga that cannot undo one of its steps."""
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=(undo,))
    return await api.world.hurried(await api.world.book(simulation, member_number=ADA), clock, SagaStatus.STUCK)


async def abandoned(api: Api, clock: ManualClock) -> SagaView:
    saga = await stuck(api, clock)
    await api.read(SKIP, OPERATOR, id=saga.correlation_id)
    return await api.world.ended(saga)


async def test_the_longest_stuck_comes_first_and_then_the_newest(api: Api, clock: ManualClock) -> None:
    first = await stuck(api, clock)
    booked = await api.world.ended(await api.world.book())
    second = await stuck(api, clock, "CANCEL_SEAT")
    last = await api.world.ended(await api.world.book())
    in_order = [saga.correlation_id for saga in (first, booked, second, last)]

    assert await listed(api, orderBy="OLDEST_FIRST") == in_order
    assert await listed(api) == in_order[::-1]
    longest = [saga.correlation_id for saga in (first, second, last, booked)]
    assert await listed(api, orderBy="LONGEST_STUCK_FIRST") == longest
    page = (await api.read(LIST, OPERATOR, orderBy="LONGEST_STUCK_FIRST"))["sagas"]["edges"]
    assert [edge["node"]["stuckSince"] is not None for edge in page] == [True, True, False, False]
    assert page[0]["node"]["stuckSince"] < page[1]["node"]["stuckSince"]


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_cursor_of_another_order_is_refused(api: Api) -> None:
    for _ in range(2):
        await api.world.ended(await api.world.book())
    orders = ("NEWEST_FIRST", "OLDEST_FIRST", "LONGEST_STUCK_FIRST")
    for order in orders:
        after = (await api.read(LIST, OPERATOR, orderBy=order, first=1))["sagas"]["pageInfo"]["endCursor"]
        for other in orders:
            code = (await api.ask(LIST, OPERATOR, orderBy=other, after=after)).code if other != order else None
            assert code == (None if other == order else "BAD_USER_INPUT")


async def test_sagas_are_found_by_what_they_failed_with_or_are_stuck_with(api: Api, clock: ManualClock) -> None:
    by_payment = await stuck(api, clock)
    by_seat = await stuck(api, clock, "CANCEL_SEAT")
    declined = await api.world.ended(await api.world.book(payment_token="pm_card_chargeDeclined"))
    undone = await api.world.ended(await api.world.book(Simulation(fail_at=("AWARD_MILES",)), member_number=ADA))
    await api.world.ended(await api.world.book())
    ids = {
        name: saga.correlation_id
        for name, saga in {"pay": by_payment, "seat": by_seat, "declined": declined, "undone": undone}.items()
    }

    async def found(**filter_: Any) -> set[str]:
        return {name for each in await listed(api, filter=filter_) for name in ids if ids[name] == each}

    assert await found(failureCode=["SIMULATED"]) == {"pay", "seat", "undone"}
    assert await found(failureCode=["PAYMENT_DECLINED", "SIMULATED"]) == set(ids)
    assert await found(failureCode=["PAYMENT_DECLINED"]) == {"declined"}
    assert await found(failureCode=["NONE_HAS_IT"]) == set()
    assert await found(stuckWith=["SIMULATED"]) == {"pay", "seat"}
    assert await found(stuckAt="AUTHORIZE_PAYMENT") == {"pay"}
    assert await found(stuckAt="RESERVE_SEAT", stuckWith=["SIMULATED"], status=["STUCK"]) == {"seat"}
    assert await found(stuckAt="AWARD_MILES") == set()
    since = (await api.read(SETTLEMENT, OPERATOR, id=by_seat.correlation_id))["saga"]["stuckSince"]
    assert await found(stuckBefore=since) == {"pay"}
    for order in ("OLDEST_FIRST", "LONGEST_STUCK_FIRST"):
        together = await listed(api, filter={"failureCode": ["PAYMENT_DECLINED", "SIMULATED"]}, orderBy=order)
        assert sorted(together) == sorted(ids.values())


async def test_a_retry_that_fails_again_moves_nothing_and_progress_ends_it(api: Api, clock: ManualClock) -> None:
    saga = await stuck(api, clock)

    async def since() -> Any:
        return (await api.read(SETTLEMENT, OPERATOR, id=saga.correlation_id))["saga"]["stuckSince"]

    before = await since()
    clock.advance(7_200)

    async def tried_again() -> bool:
        return (await api.world.view(saga)).sequence > saga.sequence

    await eventually(tried_again)
    assert await since() == before
    assert (await api.read(RETRY, OPERATOR, id=saga.correlation_id))["retrySaga"]["errors"] == []
    await api.world.ended(saga)
    assert await since() is None


async def test_what_was_given_up_stays_on_the_worklist_until_it_is_settled(api: Api, clock: ManualClock) -> None:
    api = replace(api, request_id="request-1")
    saga = await abandoned(api, clock)
    await api.world.ended(await api.world.book())
    assert await listed(api, filter={"isUnsettled": True}) == [saga.correlation_id]
    assert len(await listed(api, filter={"isUnsettled": False})) == 1

    for how in ("", "two\nlines", "x" * 501):
        payload = (await api.read(SETTLE, OPERATOR, id=saga.correlation_id, how=how))["settleSaga"]
        assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [("InvalidInputError", ["how"])]
    payload = (await api.read(SETTLE, OPERATOR, id=saga.correlation_id, how=" Paid back by bank. "))["settleSaga"]
    assert payload["errors"] == []
    settlement = payload["saga"]["settlement"]
    assert (settlement["how"], settlement["by"]) == (
        "Paid back by bank.",
        {"role": "OPERATOR", "subject": OPERATOR.subject},
    )
    assert await listed(api, filter={"isUnsettled": True}) == []

    again = (await api.read(SETTLE, OPERATOR, id=saga.correlation_id, how="Again."))["settleSaga"]
    assert [(error["__typename"], error["message"]) for error in again["errors"]] == [
        ("NothingToSettleError", "The saga is settled already.")
    ]
    newest = (await api.read(ACTIONS, OPERATOR))["operatorActions"]["edges"][0]["node"]
    assert (newest["kind"], newest["reason"], newest["before"], newest["after"]) == (
        "SETTLE",
        "Paid back by bank.",
        "ABANDONED",
        "ABANDONED; settled",
    )


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_how_it_was_settled_is_not_for_its_customer(api: Api, clock: ManualClock) -> None:
    saga = await abandoned(api, clock)
    await api.read(SETTLE, OPERATOR, id=saga.correlation_id, how="Paid back.")
    assert (await api.read(SETTLEMENT, OWNER, id=saga.correlation_id))["saga"]["settlement"] is None
    assert (await api.ask(SETTLE, OWNER, id=saga.correlation_id, how="Paid back.")).code == "FORBIDDEN"


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_retry_and_a_cancel_may_say_why(api: Api, clock: ManualClock) -> None:
    saga = await stuck(api, clock)
    running = await api.world.book(Simulation(delay_ms=5_000))
    for document, field, of in ((RETRY, "retrySaga", saga), (CANCEL, "cancelSaga", running)):
        payload = (await api.read(document, OPERATOR, id=of.correlation_id, reason="\n"))[field]
        assert payload["errors"] == [{"__typename": "InvalidInputError", "path": ["reason"]}]
        payload = (await api.read(document, OPERATOR, id=of.correlation_id, reason="The provider is back."))[field]
        assert payload["errors"] == []
        newest = (await api.read(ACTIONS, OPERATOR))["operatorActions"]["edges"][0]["node"]
        assert newest["reason"] == "The provider is back."
