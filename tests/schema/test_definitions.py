"""What this server's sagas are made of is told by the API, from their definitions alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import pytest
from graphql import GraphQLEnumType, build_schema

from domain.bookings import Bookings, CompensationName, DefinitionName, StepName
from domain.outcome import Succeeded
from domain.saga import Batch, Compensation, Local, Remote, SagaEngine, SettleVerdict, Simulation, Step
from domain.storage import Database
from schema.root import sdl
from tests.schema.api import OWNER, Api

_DEFINITIONS: Final = """{ sagaDefinitions { name version isCurrent pivot
  steps { name description compensation isRemote canWait }
  scenarios { failAt status failureCode completed compensated reservations payment isBooked redeemsPoints awardsMiles }
} }"""
#: Today's sagas: steps with what undoes them, `*` where the provider is called.
_TODAY: Final = {
    "BOOK_AND_EARN": (
        "RESERVE_SEAT/CANCEL_SEAT AUTHORIZE_PAYMENT*/CANCEL_PAYMENT AWARD_MILES/REVERSE_MILES"
        " CONFIRM_BOOKING*/CANCEL_BOOKING",
        "CONFIRM_BOOKING",
    ),
    "BOOK_AND_REDEEM": (
        "RESERVE_SEAT/CANCEL_SEAT DEDUCT_LOYALTY_POINTS/REFUND_LOYALTY_POINTS PROCESS_PAYMENT*/REFUND_PAYMENT"
        " CONFIRM_BOOKING*/CANCEL_BOOKING",
        "CONFIRM_BOOKING",
    ),
    "CANCEL_BOOKING": ("CANCEL_BOOKING REFUND_PAYMENT* RESTORE_LOYALTY CANCEL_SEAT", "CANCEL_BOOKING"),
}


async def definitions(api: Api) -> list[dict[str, Any]]:
    """What the API tells of all definitions."""
    found: list[dict[str, Any]] = (await api.read(_DEFINITIONS))["sagaDefinitions"]
    return found


def spelled(step: dict[str, Any]) -> str:
    """A step as in _TODAY."""
    undo = f"/{step['compensation']}" if step["compensation"] else ""
    return str(step["name"]) + ("*" if step["isRemote"] else "") + undo


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_todays_definitions_are_told(api: Api) -> None:
    found = {each["name"]: each for each in await definitions(api)}
    told = {name: (" ".join(map(spelled, each["steps"])), each["pivot"]) for name, each in found.items()}
    assert told == _TODAY
    for each in found.values():
        assert (each["version"], each["isCurrent"]) == (1, True)
        assert [step["description"] for step in each["steps"]] == [
            StepName[step["name"]].sentence for step in each["steps"]
        ]
        assert not any(step["canWait"] for step in each["steps"])


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_the_ten_scenarios_are_what_they_were(api: Api) -> None:
    found = {each["name"]: each["scenarios"] for each in await definitions(api)}
    assert found["CANCEL_BOOKING"] == []
    undos = {"BOOK_AND_EARN": "REVERSE_MILES CANCEL_PAYMENT CANCEL_SEAT"}
    undos["BOOK_AND_REDEEM"] = "REFUND_PAYMENT REFUND_LOYALTY_POINTS CANCEL_SEAT"
    for name, compensations in undos.items():
        success, *failures = found[name]
        steps = success["completed"]
        assert success == {
            "failAt": None,
            "status": "COMPLETED",
            "failureCode": None,
            "completed": [spelling.rstrip("*") for spelling in re.findall(r"(\w+\*?)/", _TODAY[name][0])],
            "compensated": [],
            "reservations": "CONFIRMED",
            "payment": "CAPTURED",
            "isBooked": True,
            "redeemsPoints": name == "BOOK_AND_REDEEM",
            "awardsMiles": name == "BOOK_AND_EARN",
        }
        assert [failure["failAt"] for failure in failures] == steps
        paid = 2 if name == "BOOK_AND_EARN" else 3
        for number, failure in enumerate(failures):
            assert failure == {
                "failAt": steps[number],
                "status": "COMPENSATED",
                "failureCode": "SIMULATED",
                "completed": steps[:number],
                "compensated": compensations.split()[3 - number :],
                "reservations": "RELEASED" if number else None,
                "payment": "VOIDED" if number >= paid else None,
                "isBooked": False,
                "redeemsPoints": False,
                "awardsMiles": False,
            }


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_a_step_that_is_added_brings_all_of_it_along(api: Api) -> None:
    async def nothing(batch: Batch[Any]) -> list[SettleVerdict]:
        return [Succeeded() for _ in batch.members]

    async def call(member: Any) -> Succeeded:
        return Succeeded()

    world = api.world
    *before, last = world.definitions.book_and_earn.steps
    step = Step("NOTIFY_PARTNER", Remote(call), Compensation("WITHDRAW_NOTICE", Local(nothing)))
    second = replace(world.definitions.book_and_earn, version=2, steps=(*before, step, last))
    database = Database(world.database.url, clock=world.database.clock)
    engine = SagaEngine(database, [*world.definitions.all, second])
    bookings = Bookings(
        engine, replace(world.definitions, book_and_earn=second), simulation_allowed=True, default_token="pm_card_visa"
    )
    newer = replace(api, services=replace(api.services, engine=engine, bookings=bookings))
    found = {(each["name"], each["version"]): each for each in await definitions(newer)}
    await engine.close()
    await database.close()
    assert {key: each["isCurrent"] for key, each in found.items() if key[0] == "BOOK_AND_EARN"} == {
        ("BOOK_AND_EARN", 1): False,
        ("BOOK_AND_EARN", 2): True,
    }
    told = found["BOOK_AND_EARN", 2]
    assert told["steps"][3] == {
        "name": "NOTIFY_PARTNER",
        "description": "NOTIFY_PARTNER",
        "compensation": "WITHDRAW_NOTICE",
        "isRemote": True,
        "canWait": False,
    }
    assert [scenario["failAt"] for scenario in told["scenarios"]][4:] == ["NOTIFY_PARTNER", "CONFIRM_BOOKING"]
    assert told["scenarios"][-1]["compensated"][0] == "WITHDRAW_NOTICE"
    # What calls somebody has an answer to lose.
    refused = await bookings.cancel_booking(
        "ABC234",
        correlation_id=None,
        simulation=Simulation(lose_answer_at=("AWARD_MILES",)),
        subject=OWNER.subject,
        by="someone",
    )
    assert isinstance(refused, tuple)
    assert "AUTHORIZE_PAYMENT, CONFIRM_BOOKING, NOTIFY_PARTNER" in getattr(refused[0], "message", "")


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_an_enum_says_of_a_definition_names_its_steps(api: Api) -> None:
    for each in await definitions(api):
        names = re.findall(r"\b[A-Z]+_[A-Z_]+\b", DefinitionName[each["name"]].sentence)
        assert names == [step["name"] for step in each["steps"]]


@pytest.mark.parametrize(
    ("api_name", "names"),
    [("SagaDefinitionName", DefinitionName), ("StepName", StepName), ("CompensationName", CompensationName)],
)
def test_the_enums_of_the_api_say_what_the_names_say(
    api_name: str, names: Iterable[DefinitionName | StepName | CompensationName]
) -> None:
    described = build_schema(sdl()).type_map[api_name]
    assert isinstance(described, GraphQLEnumType)
    told = {name: value.description for name, value in described.values.items()}
    assert told == {name.value: name.sentence for name in names}
