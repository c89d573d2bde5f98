"""What this server's sagas are made of is told by the API, from their definitions alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, cast

import pytest
from graphql import GraphQLEnumType, build_schema

from domain.bookings import (
    Bookings,
    CompensationName,
    DefinitionName,
    Scenario,
    StepName,
    build_definitions,
    outline,
    scenarios_of,
)
from domain.outcome import Succeeded
from domain.payments import PaymentGateway, PaymentStatus
from domain.saga import (
    Batch,
    Compensation,
    Local,
    Remote,
    SagaDefinition,
    SagaEngine,
    SagaStatus,
    SettleVerdict,
    Simulation,
    Step,
)
from domain.seats import SeatReservationStatus
from domain.storage import Database
from schema.root import sdl
from tests.schema.api import OWNER, Api
from tests.support.sequences import CANCELLATION, EARN, REDEEM, steps_of, undone

_DEFINITIONS: Final = """{ sagaDefinitions { name version isCurrent pivot
  steps { name description compensation isRemote canWait }
  scenarios { name payLater cards holderApproves failAt status failedStep failureCode completed compensated reservations
    payment isBooked redeemsPoints awardsMiles }
} }"""


async def definitions(api: Api) -> list[dict[str, Any]]:
    """What the API tells of all definitions."""
    found: list[dict[str, Any]] = (await api.read(_DEFINITIONS))["sagaDefinitions"]
    return found


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_is_told_is_what_the_definitions_say(api: Api) -> None:
    defined = api.world.definitions
    assert await definitions(api) == [
        {
            "name": each.name,
            "version": each.version,
            "isCurrent": each in defined.current,
            "pivot": each.pivot,
            "steps": [
                {
                    "name": step.name,
                    "description": StepName[step.name].sentence,
                    "compensation": step.compensation.name if step.compensation is not None else None,
                    "isRemote": step.is_remote,
                    "canWait": step.can_wait,
                }
                for step in each.steps
            ],
            "scenarios": [told_of(scenario) for scenario in scenarios_of(each)],
        }
        for each in defined.all
    ]


def told_of(scenario: Scenario) -> dict[str, Any]:
    """The scenario as the API tells it."""
    return {
        "name": scenario.name,
        "payLater": scenario.pays_later,
        "cards": list(scenario.cards),
        "holderApproves": scenario.holder_approves,
        "failAt": scenario.fail_at,
        "status": scenario.status,
        "failedStep": scenario.failed_step,
        "failureCode": scenario.failure_code,
        "completed": list(scenario.completed),
        "compensated": list(scenario.compensated),
        "reservations": scenario.reservations,
        "payment": scenario.payment,
        "isBooked": scenario.is_booked,
        "redeemsPoints": scenario.redeems,
        "awardsMiles": scenario.awards,
    }


@pytest.mark.parametrize("definition", [EARN, REDEEM], ids=["earn", "redeem"])
def test_a_booking_has_a_scenario_for_success_and_for_a_failure_at_each_step(definition: SagaDefinition) -> None:
    steps = steps_of(definition)
    success, *others = scenarios_of(definition)
    failures = others[: len(steps)]
    assert success == Scenario(
        name="success",
        fail_at=None,
        status=SagaStatus.COMPLETED,
        failed_step=None,
        failure_code=None,
        completed=tuple(steps),
        compensated=(),
        reservations=SeatReservationStatus.CONFIRMED,
        payment=PaymentStatus.CAPTURED,
        is_booked=True,
        redeems=definition is REDEEM,
        awards=definition is EARN,
    )
    pays = steps.index("AUTHORIZE_PAYMENT" if definition is EARN else "PROCESS_PAYMENT")
    assert failures == [
        Scenario(
            name=f"{step} fails",
            fail_at=step,
            status=SagaStatus.COMPENSATED,
            failed_step=step,
            failure_code="SIMULATED",
            completed=tuple(steps[:number]),
            compensated=undone(definition, step),
            reservations=SeatReservationStatus.RELEASED if number else None,
            payment=PaymentStatus.VOIDED if number > pays else None,
            is_booked=False,
            redeems=False,
            awards=False,
        )
        for number, step in enumerate(steps)
    ]


@pytest.mark.parametrize("definition", [EARN, REDEEM], ids=["earn", "redeem"])
def test_a_booking_has_a_scenario_for_each_way_in_which_a_wait_can_end(definition: SagaDefinition) -> None:
    waits = [scenario for scenario in scenarios_of(definition) if scenario.cards or scenario.pays_later]
    assert {each.name: (each.status, each.failure_code, each.is_booked) for each in waits} == {
        "held, then paid": (SagaStatus.COMPLETED, None, True),
        "held, declined, then paid with another card": (SagaStatus.COMPLETED, None, True),
        "confirmed by the card's holder": (SagaStatus.COMPLETED, None, True),
        "refused by the card's holder": (SagaStatus.COMPENSATED, "CARD_NOT_CONFIRMED", False),
    }


def test_a_hold_lapses_in_a_scenario_only_where_that_is_soon() -> None:
    definitions = build_definitions(cast(PaymentGateway, None), hold_seconds=20)
    (lapsed,) = [each for each in scenarios_of(definitions.book_and_redeem) if each.name == "held, then lapsed"]
    assert (lapsed.pays_later, lapsed.cards, lapsed.failure_code) == (True, (), "HOLD_EXPIRED")
    assert lapsed.compensated == ("REFUND_LOYALTY_POINTS", "CANCEL_SEAT")
    # Version 1 could not wait.
    before = next(each for each in definitions.retired if each.version == 1)
    assert len(scenarios_of(before)) == 1 + len(before.steps)


def test_a_cancellation_has_no_scenarios() -> None:
    assert scenarios_of(CANCELLATION) == []


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_step_that_is_added_brings_all_of_it_along(api: Api) -> None:
    async def nothing(batch: Batch[Any]) -> list[SettleVerdict]:
        return [Succeeded() for _ in batch.members]

    async def call(member: Any) -> Succeeded:
        return Succeeded()

    world = api.world
    *before, last = world.definitions.book_and_earn.steps
    step = Step("ASK_AROUND", Remote(call), Compensation("ASK_NO_MORE", Local(nothing)))
    version = world.definitions.book_and_earn.version
    second = replace(world.definitions.book_and_earn, version=version + 1, steps=(*before, step, last))
    database = Database(world.database.url, clock=world.database.clock)
    engine = SagaEngine(database, [*world.definitions.all, second])
    bookings = Bookings(
        engine, replace(world.definitions, book_and_earn=second), simulation_allowed=True, default_token="pm_card_visa"
    )
    newer = replace(api, services=replace(api.services, engine=engine, bookings=bookings))
    found = {(each["name"], each["version"]): each for each in await definitions(newer)}
    await engine.close()
    await database.close()
    assert not found["BOOK_AND_EARN", version]["isCurrent"]
    told = found["BOOK_AND_EARN", version + 1]
    assert told["isCurrent"]
    assert told["steps"][-2] == {
        "name": "ASK_AROUND",
        "description": "ASK_AROUND",
        "compensation": "ASK_NO_MORE",
        "isRemote": True,
        "canWait": step.can_wait,
    }
    failures = [scenario for scenario in told["scenarios"] if scenario["failAt"] is not None]
    assert [scenario["failAt"] for scenario in failures][-2:] == ["ASK_AROUND", "CONFIRM_BOOKING"]
    assert failures[-1]["compensated"][0] == "ASK_NO_MORE"
    # What calls somebody has an answer to lose.
    refused = await bookings.cancel_booking(
        "ABC234",
        correlation_id=None,
        simulation=Simulation(lose_answer_at=("AWARD_MILES",)),
        subject=OWNER.subject,
        by="someone",
    )
    assert isinstance(refused, tuple)
    assert "ASK_AROUND" in getattr(refused[0], "message", "")


@pytest.mark.parametrize(("api_name", "names"), [("StepName", StepName), ("CompensationName", CompensationName)])
def test_the_enums_of_the_api_say_what_the_names_say(
    api_name: str, names: Iterable[StepName | CompensationName]
) -> None:
    assert told(api_name) == {name.value: name.sentence for name in names}


def test_the_api_says_of_each_saga_what_it_does_and_its_steps_in_order() -> None:
    for definition in outline().current:
        words = told("SagaDefinitionName")[definition.name]
        assert words.startswith(DefinitionName[definition.name].sentence.removesuffix("."))
        names = [step.name for step in definition.steps]
        assert [word for word in re.findall(r"[A-Z_]{3,}", words) if word in names] == names


def told(enum: str) -> dict[str, str]:
    described = build_schema(sdl()).type_map[enum]
    assert isinstance(described, GraphQLEnumType)
    return {name: value.description or "" for name, value in described.values.items()}
