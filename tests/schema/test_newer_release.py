"""Sagas of a newer release, asked of a replica that knows neither their version nor the names of their steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import Bookings
from domain.bookings.contexts import BookingContext
from domain.clock import ManualClock
from domain.outcome import Refused, Succeeded
from domain.saga import (
    Batch,
    Compensation,
    Local,
    SagaEngine,
    SagaView,
    SettleVerdict,
    Simulation,
    Step,
    StepStatus,
    live,
)
from domain.storage import Database
from tests.domain.bookings.world import ADA, World
from tests.schema.api import OPERATOR, Api
from tests.support.sequences import EARN, steps_of

NEXT_VERSION: Final = EARN.version + 1
_SAGA: Final = """query($id: UUID!) { saga(correlationId: $id) {
  definition definitionVersion status flights { number } passengers { familyName } reservations { status }
  failure { code step }
  steps { name status compensation undo { name } }
  queue { pending executing completed failed compensations compensating compensated } } }"""
_LISTED: Final = "{ sagas { edges { node { correlationId status failure { code } payment { status } } } } }"
_EVENTS: Final = "subscription($id: UUID!) { sagaEvents(correlationId: $id) { sequence type step compensation } }"
_CANCEL: Final = """mutation($id: UUID!) { cancelSaga(input: { correlationId: $id }) {
  saga { steps { name } } errors { __typename } } }"""
_SLOW: Final = Simulation(delay_ms=5_000)


class ScreeningContext(BookingContext):
    """What a booking carries from the next version on: `screened` how many passengers."""

    screened: int = 0


class Screening:
    """SCREEN_PASSENGERS, undone by FORGET_SCREENING; refuses all passengers where it is `strict`."""

    strict = False

    async def screen(self, batch: Batch[ScreeningContext]) -> Sequence[SettleVerdict]:
        if self.strict:
            return [Refused("NOT_CLEARED", "They may not fly.") for _ in batch.members]
        for member in batch.members:
            member.context.screened = member.context.passengers
        return [Succeeded("screened") for _ in batch.members]

    async def forget(self, batch: Batch[ScreeningContext]) -> Sequence[SettleVerdict]:
        return [Succeeded("forgotten") for _ in batch.members]


@dataclass
class Newer:
    """A replica of the newer release."""

    engine: SagaEngine
    bookings: Bookings
    screening: Screening
    world: World

    async def book(self, simulation: Simulation | None = None) -> SagaView:
        """Start a saga of the next version."""
        saga = await self.bookings.book(self.world.request(simulation=simulation, member_number=ADA))
        assert isinstance(saga, SagaView), saga
        assert saga.version == NEXT_VERSION
        return saga


@pytest.fixture
async def newer(world: World) -> AsyncIterator[Newer]:
    screening = Screening()
    first, *others = world.definitions.book_and_earn.steps
    screen = Step(
        "SCREEN_PASSENGERS", Local(screening.screen), Compensation("FORGET_SCREENING", Local(screening.forget))
    )
    second = replace(
        world.definitions.book_and_earn,
        version=NEXT_VERSION,
        context=ScreeningContext,
        steps=(first, screen, *others),
    )
    database = Database(world.database.url, clock=world.database.clock)
    engine = SagaEngine(database, [*world.definitions.all, second], poll_seconds=0.1)
    definitions = replace(world.definitions, book_and_earn=second)
    bookings = Bookings(engine, definitions, simulation_allowed=True, default_token="pm_card_visa")
    await engine.open()
    yield Newer(engine, bookings, screening, world)
    await engine.close()
    await database.close()


async def test_it_is_shown_whole_with_the_names_that_the_newer_release_gives(api: Api, newer: Newer) -> None:
    booked = await newer.world.ended(await newer.book())
    saga = (await api.read(_SAGA, id=booked.correlation_id))["saga"]
    assert (saga["definition"], saga["definitionVersion"], saga["status"]) == (
        "BOOK_AND_EARN",
        NEXT_VERSION,
        "COMPLETED",
    )
    first, *others = steps_of(EARN)
    names = [first, "SCREEN_PASSENGERS", *others]
    assert [step["name"] for step in saga["steps"]] == names
    assert saga["steps"][1]["compensation"] == "FORGET_SCREENING"
    assert saga["queue"]["completed"] == names
    assert (saga["flights"], saga["passengers"]) == ([{"number": "T100"}], [{"familyName": "Smith"}])
    assert saga["reservations"] == [{"status": "CONFIRMED"}]


async def test_its_failure_at_a_step_of_the_newer_release_is_shown_and_counted(api: Api, newer: Newer) -> None:
    newer.screening.strict = True
    refused = await newer.world.ended(await newer.book())
    saga = (await api.read(_SAGA, id=refused.correlation_id))["saga"]
    assert saga["failure"] == {"code": "NOT_CLEARED", "step": "SCREEN_PASSENGERS"}
    assert saga["queue"]["failed"] == ["SCREEN_PASSENGERS"]
    counted = "{ sagaStatistics { failedAt { step count } } sagas(first: 1) { edges { node { definition } } } }"
    assert await api.read(counted, OPERATOR) == {
        "sagaStatistics": {"failedAt": [{"step": "SCREEN_PASSENGERS", "count": 1}]},
        "sagas": {"edges": [{"node": {"definition": "BOOK_AND_EARN"}}]},
    }


async def test_it_is_followed_and_cancelled(api: Api, newer: Newer, clock: ManualClock) -> None:
    booked = await newer.book(_SLOW)
    async with api.subscribe(_EVENTS, id=booked.correlation_id) as stream:
        await stream.until(lambda data: data["sagaEvents"]["type"] == "STEP_COMPLETED")
        cancelled = (await api.read(_CANCEL, id=booked.correlation_id))["cancelSaga"]
        assert cancelled["errors"] == []
        assert {"name": "SCREEN_PASSENGERS"} in cancelled["saga"]["steps"]
        await newer.world.hurried(booked, clock, "COMPENSATED")
        await stream.rest()
        events = [answer.good["sagaEvents"] for answer in stream.seen]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "SAGA_COMPENSATED"


async def test_its_lapsed_hold_is_released_by_the_older_replica_and_the_owner_turns_round(
    api: Api, newer: Newer, clock: ManualClock
) -> None:
    booked = await newer.book(_SLOW)
    world = newer.world
    await world.step_reached(booked, "RESERVE_SEAT", StepStatus.COMPLETED)
    # The owner stands still meanwhile: it would release the hold itself.
    loops = newer.engine.runner._loops.values()
    await asyncio.gather(*(loop.stop() for loop in loops))
    clock.advance(901)
    assert await world.bookings.release_expired() == 1
    for loop in loops:
        loop.start()
    saga = await world.hurried(booked, clock, "COMPENSATED")
    assert saga.failure is not None
    assert saga.failure.code == "HOLD_EXPIRED"


@pytest.mark.parametrize(
    ("table", "column"), [("sagas", "status"), ("saga_steps", "status"), ("saga_steps", "undo_status")]
)
async def test_a_status_of_the_newer_release_takes_no_other_saga_from_those_who_read(
    api: Api, world: World, table: str, column: str
) -> None:
    newer, known = [await world.ended(await world.book(member_number=ADA)) for _ in range(2)]
    await _newer_status(world.database, table, column, newer.id)
    shown = {each["correlationId"]: each for each in nodes(await api.read(_LISTED, OPERATOR))}
    assert shown[known.correlation_id] == {
        "correlationId": known.correlation_id,
        "status": "COMPLETED",
        "failure": None,
        "payment": {"status": "CAPTURED"},
    }
    assert shown[newer.correlation_id] == shown[known.correlation_id] | {
        "correlationId": newer.correlation_id,
        "status": "PARKED",
        "failure": {"code": "UNREADABLE"},
    }
    found = await asyncio.gather(*(api.read(_SAGA, id=each.correlation_id) for each in (newer, known)))
    assert [each["saga"]["status"] for each in found] == ["PARKED", "COMPLETED"]
    counted = await api.read("{ sagaStatistics { started } }", OPERATOR)
    assert counted == {"sagaStatistics": {"started": 2}}
    async with world.database.reading() as connection:
        assert await live(connection) == []


async def test_a_payment_that_cannot_be_read_takes_no_other_from_those_who_read(api: Api, world: World) -> None:
    sagas = [await world.ended(await world.book()) for _ in range(5)]
    await _newer_status(world.database, "payments", "status", sagas[2].id)
    answer = await api.ask(_LISTED, OPERATOR)
    assert answer.code == "INTERNAL"
    paid = {each["correlationId"]: each["payment"] for each in nodes(answer.data or {})}
    assert [paid[saga.correlation_id] for saga in sagas] == [
        None if number == 2 else {"status": "CAPTURED"} for number in range(5)
    ]


@pytest.mark.parametrize(
    ("table", "column", "list_"),
    [
        ("bookings", "status", "bookings { totalCount edges { node { id } } }"),
        ("seat_reservations", "status", "seatReservations { totalCount edges { node { id } } }"),
        ("seat_reservations", "cabin", "seatReservations { totalCount edges { node { id } } }"),
        (
            "loyalty_entries",
            "reason",
            f'loyaltyAccount(memberNumber: "{ADA}") {{ entries {{ totalCount edges {{ node {{ id }} }} }} }}',
        ),
    ],
)
async def test_a_list_leaves_out_the_row_that_it_cannot_read_and_its_pages_go_on(
    api: Api, world: World, table: str, column: str, list_: str
) -> None:
    sagas = [await world.ended(await world.book(member_number=ADA)) for _ in range(3)]

    async def listed(first: int, after: str | None = None) -> dict[str, Any]:
        place = f"(first: {first}{'' if after is None else f', after: {chr(34)}{after}{chr(34)}'})"
        asked = list_.replace(" { totalCount", f"{place} {{ totalCount pageInfo {{ hasNextPage endCursor }}", 1)
        found = await api.read(f"{{ {asked} }}", OPERATOR)
        while "edges" not in found:
            (found,) = found.values()
        return found

    before = [edge["node"]["id"] for edge in (await listed(20))["edges"]]
    await _newer_status(world.database, table, column, sagas[1].id)
    known = await listed(20)
    shown = [edge["node"]["id"] for edge in known["edges"]]
    assert known["totalCount"] == len(shown) == len(before) - len(set(before) - set(shown)) < len(before)
    paged, after = [], None
    while True:
        page = await listed(1, after)
        paged += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert paged == shown


async def test_a_seat_and_a_reservation_that_cannot_be_read_take_no_other_of_their_flight_or_saga(
    api: Api, world: World
) -> None:
    sagas = [await world.ended(await world.book()) for _ in range(2)]
    await _newer_status(world.database, "seat_reservations", "status", sagas[0].id)

    async def newer_seat(connection: AsyncConnection) -> None:
        statement = "UPDATE seats SET status = 'OF_A_NEWER_RELEASE' WHERE flight_id = :flight AND seat = 160"
        await connection.execute(text(statement), {"flight": world.flight_ids[0]})

    if world.database.dialect == "postgresql":
        await world.database.write(
            lambda connection: connection.execute(text("ALTER TABLE seats DROP CONSTRAINT ck_seats_status"))
        )
    await world.database.write(newer_seat)
    found = await api.read("{ sagas { edges { node { reservations { id } } } } }", OPERATOR)
    assert sorted(len(each["reservations"]) for each in nodes(found)) == [0, 1]
    flight = await api.read("{ flights(first: 1) { edges { node { seats { number } } } } }", OPERATOR)
    assert len(flight["flights"]["edges"][0]["node"]["seats"]) == 161


def nodes(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in data["sagas"]["edges"]]


async def _newer_status(database: Database, table: str, column: str, saga_id: str) -> None:
    """As if a newer release had migrated, so that the value is allowed, and had written it."""

    async def work(connection: AsyncConnection) -> None:
        if database.dialect == "sqlite":
            await connection.execute(text("PRAGMA ignore_check_constraints = 1"))
        else:
            for name in ("status", "finished", "ended", "cabin", "reason"):
                await connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_{name}"))
        key = "id" if table == "sagas" else "saga_id"
        if table == "loyalty_entries":
            key = f"id = (SELECT id FROM {table} WHERE saga_id = :saga ORDER BY id LIMIT 1) AND saga_id"
        statement = text(f"UPDATE {table} SET {column} = 'OF_A_NEWER_RELEASE' WHERE {key} = :saga")
        await connection.execute(statement, {"saga": saga_id})

    await database.write(work)


@pytest.mark.parametrize("document", ["{ sagas(filter: { failedStep: SCREEN_PASSENGERS }) { totalCount } }"])
async def test_what_only_the_newer_release_knows_is_not_asked_by(api: Api, newer: Newer, document: str) -> None:
    answer: Any = await api.ask(document, OPERATOR)
    assert answer.code == "GRAPHQL_VALIDATION_FAILED"
