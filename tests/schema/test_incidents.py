"""Incidents over the API: what an operator who was woken up asks first."""

from __future__ import annotations

from typing import Any

from domain.saga import SagaStatus, SagaView, Simulation
from tests.domain.bookings.world import ADA, World
from tests.schema.api import OPERATOR, OWNER, Api

INCIDENTS = """{ incidents {
  status step compensation failureCode message sagas oldestSince newestSince runbook
  money { amount currency } points seats
  sagasOf(first: 2) { totalCount pageInfo { hasNextPage endCursor } edges { node { correlationId status } } }
} }"""
REST = """query($after: String) { incidents { sagasOf(first: 2, after: $after) {
  edges { node { correlationId } } } } }"""
STAKE = "query($id: UUID!) { saga(correlationId: $id) { atStake { money { amount currency } points seats } } }"


async def stuck(world: World, **changes: Any) -> SagaView:
    """A saga whose money cannot be given back."""
    simulation = Simulation(fail_at=("CONFIRM_BOOKING",), fail_compensation_at=("REFUND_PAYMENT",))
    begun = await world.book(simulation, member_number=ADA, points_to_redeem=1_000, **changes)
    return await world.reached(begun, SagaStatus.STUCK)


async def test_sagas_that_are_stuck_alike_are_one_incident_and_can_be_listed(api: Api, world: World) -> None:
    sagas = [await stuck(world) for _ in range(3)]
    (incident,) = (await api.ask(INCIDENTS, OPERATOR)).good["incidents"]
    ids = [edge["node"]["correlationId"] for edge in incident["sagasOf"]["edges"]]
    page = incident.pop("sagasOf")
    assert incident.pop("oldestSince") <= incident.pop("newestSince")
    assert incident == {
        "status": "STUCK",
        "step": "PROCESS_PAYMENT",
        "compensation": "REFUND_PAYMENT",
        "failureCode": "SIMULATED",
        "message": "Failed as asked for by the simulation.",
        "sagas": 3,
        "money": [{"amount": "270.00", "currency": "USD"}],
        "points": 3_000,
        "seats": 3,
        "runbook": "the-failure-was-injected",
    }
    assert page["totalCount"] == 3
    assert page["pageInfo"]["hasNextPage"]
    rest = (await api.ask(REST, OPERATOR, after=page["pageInfo"]["endCursor"])).good["incidents"][0]["sagasOf"]["edges"]
    assert [*ids, *(edge["node"]["correlationId"] for edge in rest)] == [saga.correlation_id for saga in sagas]


async def test_money_that_a_cards_holder_may_still_reserve_is_at_stake_until_it_is_settled(
    api: Api, world: World
) -> None:
    """The holder was asked, and what would make the payment refuse a late answer was given up."""
    simulation = Simulation(fail_compensation_at=("CANCEL_PAYMENT",))
    saga = await world.book(simulation, payment_token="pm_card_threeDSecure2Required")
    await world.reached(saga, SagaStatus.WAITING)
    cancel = "mutation($id: UUID!) { cancelSaga(input: {correlationId: $id}) { errors { __typename } } }"
    skip = """mutation($id: UUID!) { skipStep(input: {correlationId: $id, step: AUTHORIZE_PAYMENT, reason: "Away."}) {
      errors { __typename } } }"""
    assert (await api.ask(cancel, OPERATOR, id=saga.correlation_id)).good["cancelSaga"]["errors"] == []
    await world.reached(saga, SagaStatus.STUCK)
    stuck = (await api.ask(STAKE, OPERATOR, id=saga.correlation_id)).good["saga"]["atStake"]
    assert (await api.ask(skip, OPERATOR, id=saga.correlation_id)).good["skipStep"]["errors"] == []
    assert (await world.ended(saga)).status is SagaStatus.ABANDONED
    left = (await api.ask(STAKE, OPERATOR, id=saga.correlation_id)).good["saga"]["atStake"]

    assert left["money"] == stuck["money"] == {"amount": "100.00", "currency": "USD"}


async def test_there_are_no_incidents_where_nothing_is_stuck(api: Api, world: World) -> None:
    await world.ended(await world.book())
    assert (await api.ask(INCIDENTS, OPERATOR)).good["incidents"] == []


async def test_a_saga_tells_its_owner_what_is_at_stake_until_it_is_undone(api: Api, world: World) -> None:
    saga = await stuck(world)
    asked = (await api.ask(STAKE, OWNER, id=saga.correlation_id)).good["saga"]
    assert asked == {"atStake": {"money": {"amount": "90.00", "currency": "USD"}, "points": 1_000, "seats": 1}}
    retry = "mutation($id: UUID!) { retrySaga(input: {correlationId: $id}) { errors { __typename } } }"
    assert (await api.ask(retry, OPERATOR, id=saga.correlation_id)).good["retrySaga"]["errors"] == []
    await world.ended(saga)
    assert (await api.ask(STAKE, OWNER, id=saga.correlation_id)).good["saga"] == {"atStake": None}
