"""The search box, as operators ask for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from domain.bookings import Passenger
from domain.saga import SagaView
from schema.context import Scope
from tests.domain.bookings.world import ADA
from tests.schema.api import OPERATOR, OWNER, Api

SEARCH: Final = """query($text: String!, $first: Int! = 20) { search(text: $text, first: $first) {
  __typename
  ... on Saga { correlationId } ... on Booking { reference passengers { familyName } }
  ... on Flight { number } ... on LoyaltyAccount { memberNumber }
} }"""
NAMELESS: Final = replace(OPERATOR, granted=frozenset(Scope) - {Scope.PEOPLE_READ})


async def hits(api: Api, text: str, viewer: Any = OPERATOR) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.read(SEARCH, viewer, text=text))["search"]
    return found


async def test_an_operator_finds_each_kind_of_object(api: Api) -> None:
    saga = await api.world.ended(await api.world.book(passengers=[Passenger("Ada", "García")]))
    booking = await api.world.booking(saga)
    assert booking is not None
    found = {"__typename": "Booking", "reference": booking.reference, "passengers": [{"familyName": "García"}]}
    await api.world.add_flight("SS700", "LHR", "JFK", 30)

    assert await hits(api, "garcia") == [found]
    assert await hits(api, booking.reference) == [found]
    assert await hits(api, saga.correlation_id) == [{"__typename": "Saga", "correlationId": saga.correlation_id}]
    assert await hits(api, "ss700") == [{"__typename": "Flight", "number": "SS700"}]
    assert await hits(api, ADA) == [{"__typename": "LoyaltyAccount", "memberNumber": ADA}]
    assert await hits(api, "\u200b") == []


async def test_names_find_nothing_without_the_scope_to_see_people(api: Api) -> None:
    saga = await api.world.ended(await api.world.book(passengers=[Passenger("Ada", "García")]))

    assert await hits(api, "garcia", NAMELESS) == []
    assert [hit["__typename"] for hit in await hits(api, saga.correlation_id, NAMELESS)] == ["Saga"]


@pytest.mark.parametrize(
    ("variables", "argument", "limit"),
    [({"text": "x" * 201}, "text", 200), ({"text": "x", "first": 101}, "first", 100)],
)
async def test_a_search_that_is_too_large_is_refused_in_words(
    api: Api, variables: dict[str, Any], argument: str, limit: int
) -> None:
    answer = await api.ask(SEARCH, OPERATOR, **variables)

    assert answer.code == "BAD_USER_INPUT"
    assert answer.errors[0].extensions == {"code": "BAD_USER_INPUT", "argument": [argument], "limit": limit}
    assert "x" * 201 not in answer.errors[0].message


async def test_customers_may_not_search(api: Api) -> None:
    assert (await api.ask(SEARCH, OWNER, text="garcia")).code == "FORBIDDEN"


async def test_a_saga_names_its_member_and_so_does_the_cancellation_of_its_booking(api: Api) -> None:
    world = api.world
    saga = await world.ended(await world.book(member_number=ADA))
    booking = await world.booking(saga)
    assert booking is not None
    cancellation = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
    )
    assert isinstance(cancellation, SagaView)
    other = await world.ended(await world.book())
    members = """query($id: UUID!) { saga(correlationId: $id) {
      memberNumber booking { saga { correlationId } cancellation { correlationId } } } }"""

    for view in (saga, cancellation):
        assert (await api.read(members, OPERATOR, id=view.correlation_id))["saga"] == {
            "memberNumber": ADA,
            "booking": {
                "saga": {"correlationId": saga.correlation_id},
                "cancellation": {"correlationId": cancellation.correlation_id},
            },
        }
    assert (await api.read(members, OPERATOR, id=other.correlation_id))["saga"]["memberNumber"] is None
