"""Pages are read by a number of statements that does not grow with their rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import pytest

from domain.bookings import SegmentWish
from domain.storage import Database
from tests.domain.bookings.world import ADA, JANE, JOHN, World
from tests.schema.api import OPERATOR, Api
from tests.support.statements import hearing, reads

SAGAS: Final = """query($first: Int!) { sagas(first: $first) { edges { node {
  id status sequence failure { code }
  steps { name status summary undo { status } } queue { pending completed compensations }
  flights { number origin { code } destination { code } fares { seatsAvailable } seatsAvailable }
  passengers { givenName }
  reservations { status seat { number status } flight { number } passenger { familyName } }
  payment { status amount { amount } } atStake { seats }
  booking {
    reference passengers { givenName } payment { status } saga { status } cancellation { status }
    segments { flight { number } seats { passenger { givenName } seat { number } } }
  }
} } } }"""
BOOKINGS: Final = """query($first: Int!) { bookings(first: $first) { edges { node {
  reference status total { amount } passengers { givenName } payment { status }
  saga { status steps { status } reservations { seat { number } } booking { reference } }
  cancellation { status payment { status } booking { reference } }
  segments { flight { number origin { name } } seats { passenger { givenName } seat { number status } } }
} } } }"""
RESERVATIONS: Final = """query($first: Int!) { seatReservations(first: $first) { edges { node {
  status flight { number origin { code } seatsAvailable } seat { number status } passenger { givenName }
} } } }"""
EVENTS: Final = "query($first: Int!) { sagas(first: $first) { edges { node { events { type } } } } }"
EVENTS_SAGAS: Final = """query($id: UUID!, $first: Int!) { saga(correlationId: $id) {
  events(first: $first) { type saga { status steps { status } booking { reference } } }
} }"""


#: Where the operation under test notes its statements: the runner reads at the same time, in a context of its own.
_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


@contextmanager
def own_statements(database: Database) -> Iterator[list[str]]:
    """Every statement that the block reads with."""
    seen: list[str] = []

    def note(statement: str, _parameters: Any) -> None:
        noted = _noted.get()
        if noted is not None:
            noted.append(statement)

    token = _noted.set(seen)
    try:
        with hearing(note, reads(database)):
            yield seen
    finally:
        _noted.reset(token)


async def fifty_sagas(world: World) -> None:
    """Of every kind that a page may hold: booked for one and for two, out and back, refused, and cancelled."""
    kinds: list[dict[str, Any]] = [
        {"member_number": ADA},
        {"passengers": [JOHN, JANE]},
        {"segments": [SegmentWish(flight) for flight in world.flight_ids[:2]]},
        {"payment_token": "pm_card_chargeDeclined"},
        {"member_number": ADA, "points_to_redeem": 10},
    ]
    begun = await asyncio.gather(*(world.book(**kinds[number % len(kinds)]) for number in range(45)))
    ended = await asyncio.gather(*map(world.ended, begun))
    booked = [booking for booking in await asyncio.gather(*map(world.booking, ended)) if booking is not None]
    for booking in booked[:5]:
        begun_to_cancel = await world.bookings.cancel_booking(
            booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
        )
        assert not isinstance(begun_to_cancel, tuple)
        await world.ended(begun_to_cancel)
    assert await world.sagas_count() == 50


async def read_by(api: Api, document: str, first: int, **variables: Any) -> tuple[int, list[str]]:
    """How many rows came, and what they were read with."""
    with own_statements(api.world.database) as seen:
        data = await api.read(document, OPERATOR, first=first, **variables)
    (found,) = data.values()
    return len(found["edges"] if "edges" in found else found["events"]), seen


@pytest.mark.parametrize(
    ("document", "statements_max"),
    [(SAGAS, 14), (BOOKINGS, 10), (RESERVATIONS, 6)],
    ids=["sagas", "bookings", "seats"],
)
async def test_a_page_of_50_costs_no_more_statements_than_one_of_5(
    api: Api, document: str, statements_max: int
) -> None:
    await fifty_sagas(api.world)
    # The first use of a connection asks for things of its own.
    await read_by(api, document, 5)

    few_rows, few = await read_by(api, document, 5)
    many_rows, many = await read_by(api, document, 50)

    assert (few_rows, many_rows > 30) == (5, True)
    assert set(many) == set(few)
    # A long operation gives way to others between its loads. On a slow machine that parts a load in two.
    assert max((Counter(many) - Counter(few)).values(), default=0) <= 1
    assert 0 < len({statement for statement in many if statement != "BEGIN"}) <= statements_max


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_sagas_of_a_sagas_events_are_read_once(api: Api) -> None:
    saga = await api.world.ended(await api.world.book())
    await read_by(api, EVENTS_SAGAS, 2, id=saga.correlation_id)

    few_rows, few = await read_by(api, EVENTS_SAGAS, 2, id=saga.correlation_id)
    many_rows, many = await read_by(api, EVENTS_SAGAS, 100, id=saga.correlation_id)

    assert (few_rows, many_rows) == (2, saga.sequence)
    assert len(many) == len(few)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_events_of_a_page_of_sagas_are_read_together(api: Api) -> None:
    for saga in [await api.world.book() for _ in range(10)]:
        await api.world.ended(saga)
    await read_by(api, EVENTS, 2)

    few_rows, few = await read_by(api, EVENTS, 2)
    many_rows, many = await read_by(api, EVENTS, 10)

    assert (few_rows, many_rows) == (2, 10)
    assert len(many) == len(few)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("name", ["flights", "sagas", "bookings", "seatReservations"])
async def test_a_total_is_counted_only_when_it_is_asked_for(api: Api, name: str) -> None:
    await api.world.ended(await api.world.book())
    without, counted = f"{{ {name} {{ edges {{ cursor }} }} }}", f"{{ {name} {{ edges {{ cursor }} totalCount }} }}"

    with own_statements(api.world.database) as plain:
        await api.read(without, OPERATOR)
    with own_statements(api.world.database) as more:
        await api.read(counted, OPERATOR)

    assert not any("count(" in statement.lower() for statement in plain)
    assert sum("count(" in statement.lower() for statement in more) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_one_operation_has_read_the_next_one_reads_anew(api: Api) -> None:
    asked = "{ flights(first: 1) { edges { node { seatsAvailable } } } }"
    before = await api.read(asked)
    await api.world.ended(await api.world.book())
    after = await api.read(asked)

    free = [data["flights"]["edges"][0]["node"]["seatsAvailable"] for data in (before, after)]
    assert free == [162, 161]
