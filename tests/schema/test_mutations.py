"""Mutations answer with the saga, durable already, or with what the caller can mend, and where in the input."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from domain.bookings import Bookings, InventoryLimits
from domain.clock import ManualClock
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from domain.storage import Database
from schema import ids
from tests.domain.bookings.world import ADA, World, world_of
from tests.schema.api import OPERATOR, OWNER, Api, api_of
from tests.support.sequences import EARN, REDEEM, steps_of

sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])

SAGA: Final = "saga { id correlationId definition status sequence steps { name status } }"
ERRORS: Final = "errors { __typename ... on UserError { message path } }"
BOOK: Final = f"""mutation($i: BookFlightInput!) {{ bookFlight(input: $i) {{
  {SAGA} errors {{ __typename ... on UserError {{ message path }}
    ... on PriceChangedError {{ total {{ amount currency }} }} }}
}} }}"""
CANCEL_SAGA: Final = f"""mutation($i: CancelSagaInput!) {{ cancelSaga(input: $i) {{
  {SAGA} errors {{ __typename ... on UserError {{ message path }}
    ... on TooLateToCancelError {{ booking {{ reference }} }} }}
}} }}"""
CANCEL_BOOKING: Final = f"""mutation($i: CancelBookingInput!) {{ cancelBooking(input: $i) {{
  {SAGA} errors {{ __typename ... on UserError {{ message path }}
    ... on BookingNotCancellableError {{ booking {{ reference status }} }} }}
}} }}"""
RETRY: Final = f"mutation($i: RetrySagaInput!) {{ retrySaga(input: $i) {{ {SAGA} {ERRORS} }} }}"
SKIP: Final = f"mutation($i: SkipStepInput!) {{ skipStep(input: $i) {{ {SAGA} {ERRORS} }} }}"
JOHN: Final = {"givenName": "John", "familyName": "Smith"}


def wish(api: Api, **changes: Any) -> dict[str, Any]:
    """John flies from London to New York."""
    return {"segments": [{"flightId": api.flight_id()}], "passengers": [JOHN]} | changes


async def book(api: Api, **changes: Any) -> dict[str, Any]:
    """The payload's saga, which must be begun."""
    payload = (await api.read(BOOK, i=wish(api, **changes)))["bookFlight"]
    assert payload["errors"] == []
    saga: dict[str, Any] = payload["saga"]
    return saga


async def view(api: Api, saga: dict[str, Any]) -> SagaView:
    found = await api.world.engine.saga(saga["correlationId"])
    assert found is not None
    return found


async def ended(api: Api, saga: dict[str, Any]) -> SagaView:
    return await api.world.ended(await view(api, saga))


async def refusals(api: Api, document: str, given: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Name and place of each refusal of a mutation that must do nothing."""
    ((_, payload),) = (await api.read(document, OPERATOR, i=given)).items()
    assert payload["saga"] is None
    assert all(error["message"] for error in payload["errors"])
    return [(error["__typename"], error["path"]) for error in payload["errors"]]


# ---------------------------------------------------------------- bookFlight


async def test_a_booking_is_a_saga_that_is_durable_and_runs(api: Api) -> None:
    correlation_id = str(uuid.uuid4())

    saga = await book(api, correlationId=correlation_id, loyalty={"memberNumber": ADA})

    assert (saga["correlationId"], saga["definition"]) == (correlation_id, "BOOK_AND_EARN")
    assert [step["name"] for step in saga["steps"]] == steps_of(EARN)
    assert saga["sequence"] >= 1
    done = await ended(api, saga)
    assert done.status is SagaStatus.COMPLETED
    assert done.subject == OWNER.subject
    found = await api.read(
        """query($id: UUID!) { saga(correlationId: $id) {
          status flights { number } passengers { givenName } reservations { status seat { status } }
          payment { status amount { amount currency } method } failure { code } finishedAt
          booking { status total { amount currency } milesAwarded pointsRedeemed saga { correlationId } }
        } }""",
        id=correlation_id,
    )
    assert found["saga"].pop("finishedAt").endswith("Z")
    booking = found["saga"].pop("booking")
    assert booking.pop("milesAwarded") > 3_000
    assert booking == {
        "status": "CONFIRMED",
        "total": {"amount": "100.00", "currency": "USD"},
        "pointsRedeemed": 0,
        "saga": {"correlationId": correlation_id},
    }
    assert found["saga"] == {
        "status": "COMPLETED",
        "flights": [{"number": "T100"}],
        "passengers": [{"givenName": "John"}],
        "reservations": [{"status": "CONFIRMED", "seat": {"status": "BOOKED"}}],
        "payment": {"status": "CAPTURED", "amount": {"amount": "100.00", "currency": "USD"}, "method": "CARD"},
        "failure": None,
    }


@sqlite_alone
async def test_points_choose_the_saga_that_redeems(api: Api) -> None:
    saga = await book(api, loyalty={"memberNumber": ADA, "pointsToRedeem": 4_000})

    assert saga["definition"] == "BOOK_AND_REDEEM"
    assert [step["name"] for step in saga["steps"]] == steps_of(REDEEM)
    done = await ended(api, saga)
    payment, booking = await api.world.payment(done), await api.world.booking(done)
    assert payment is not None
    assert booking is not None
    assert (payment.amount.minor, booking.points_redeemed) == (60_00, 4_000)


@sqlite_alone
async def test_everything_that_the_input_can_say_reaches_the_booking(api: Api) -> None:
    saga = await book(
        api,
        segments=[
            {"flightId": api.flight_id(0), "cabinClass": "BUSINESS", "seats": ["3c", "3D"]},
            {"flightId": api.flight_id(1), "cabinClass": "FIRST"},
        ],
        passengers=[JOHN, {"givenName": "Jane", "familyName": "Smith", "dateOfBirth": "1990-04-01"}],
        payment={"method": "CARD", "token": "pm_card_mastercard"},
        expectedTotal={"amount": "1600", "currency": "USD"},
        simulate={"loseAnswerAt": ["AUTHORIZE_PAYMENT"], "delayMs": 1},
    )

    assert (await ended(api, saga)).status is SagaStatus.COMPLETED
    found = await api.read(
        """query($id: UUID!) { saga(correlationId: $id) { booking {
          passengers { givenName familyName dateOfBirth }
          segments { cabinClass flight { number } seats { passenger { givenName } seat { number cabinClasses } } }
        } steps { attempt } } }""",
        id=saga["correlationId"],
    )
    booking = found["saga"]["booking"]
    assert booking["passengers"] == [
        {"givenName": "John", "familyName": "Smith", "dateOfBirth": None},
        {"givenName": "Jane", "familyName": "Smith", "dateOfBirth": "1990-04-01"},
    ]
    out, back = booking["segments"]
    assert (out["cabinClass"], out["flight"]["number"]) == ("BUSINESS", "T100")
    assert [(each["passenger"]["givenName"], each["seat"]["number"]) for each in out["seats"]] == [
        ("John", "3C"),
        ("Jane", "3D"),
    ]
    assert (back["cabinClass"], back["flight"]["number"]) == ("FIRST", "T101")
    assert all("FIRST" in each["seat"]["cabinClasses"] for each in back["seats"])
    assert [step["attempt"] for step in found["saga"]["steps"]][1] == 2


@sqlite_alone
async def test_a_declined_card_fails_the_saga_by_name(api: Api) -> None:
    saga = await book(api, payment={"token": "pm_card_chargeDeclined"})
    await ended(api, saga)

    asked = """query($id: UUID!) { saga(correlationId: $id) {
      status failure { code step } payment { status } booking { id }
    } }"""
    assert await api.read(asked, id=saga["correlationId"]) == {
        "saga": {
            "status": "COMPENSATED",
            "failure": {"code": "PAYMENT_DECLINED", "step": "AUTHORIZE_PAYMENT"},
            "payment": {"status": "DECLINED"},
            "booking": None,
        }
    }


UNKNOWN_FLIGHT: Final = ids.encode("Flight", 999_999)
REFUSED: Final[dict[str, tuple[dict[str, Any], list[tuple[str, list[str]]]]]] = {
    "no segment": ({"segments": []}, [("InvalidInputError", ["segments"])]),
    "no passenger": ({"passengers": []}, [("InvalidInputError", ["passengers"])]),
    "a blank name": (
        {"passengers": [JOHN, {"givenName": " ", "familyName": "Smith"}]},
        [("InvalidInputError", ["passengers", "1", "givenName"])],
    ),
    "two blank names": (
        {"passengers": [{"givenName": "", "familyName": ""}]},
        [
            ("InvalidInputError", ["passengers", "0", "givenName"]),
            ("InvalidInputError", ["passengers", "0", "familyName"]),
        ],
    ),
    "an unknown flight": (
        {"segments": [{"flightId": UNKNOWN_FLIGHT}]},
        [("FlightNotFoundError", ["segments", "0", "flightId"])],
    ),
    "a garbled flight": (
        {"segments": [{"flightId": "garbled"}]},
        [("FlightNotFoundError", ["segments", "0", "flightId"])],
    ),
    "another object's id": (
        {"segments": [{"flightId": ids.encode("Saga", 1)}]},
        [("FlightNotFoundError", ["segments", "0", "flightId"])],
    ),
    "an unknown member": (
        {"loyalty": {"memberNumber": "SS9999999"}},
        [("MemberNotFoundError", ["loyalty", "memberNumber"])],
    ),
    "negative points": (
        {"loyalty": {"memberNumber": ADA, "pointsToRedeem": -1}},
        [("InvalidInputError", ["loyalty", "pointsToRedeem"])],
    ),
    "more points than the total": (
        {"loyalty": {"memberNumber": ADA, "pointsToRedeem": 10_001}},
        [("InvalidInputError", ["loyalty", "pointsToRedeem"])],
    ),
    "an old price": (
        {"expectedTotal": {"amount": "99.00", "currency": "USD"}},
        [("PriceChangedError", ["expectedTotal"])],
    ),
    "another currency": (
        {"expectedTotal": {"amount": "100.00", "currency": "EUR"}},
        [("InvalidInputError", ["expectedTotal", "currency"])],
    ),
    "a finer amount than there is": (
        {"expectedTotal": {"amount": "100.001", "currency": "USD"}},
        [("InvalidInputError", ["expectedTotal", "amount"])],
    ),
    "no currency": (
        {"expectedTotal": {"amount": "100.00", "currency": "usd"}},
        [("InvalidInputError", ["expectedTotal", "amount"])],
    ),
    "a blank token": ({"payment": {"token": " "}}, [("InvalidInputError", ["payment", "token"])]),
    "too long a delay": ({"simulate": {"delayMs": 5_001}}, [("InvalidInputError", ["simulate", "delayMs"])]),
}


@sqlite_alone
@pytest.mark.parametrize("what", REFUSED)
async def test_a_request_that_cannot_be_is_refused_by_name_and_place(api: Api, what: str) -> None:
    changes, expected = REFUSED[what]

    assert await refusals(api, BOOK, wish(api, **changes)) == expected
    assert await api.world.sagas_count() == 0


@sqlite_alone
async def test_every_seat_that_cannot_be_is_named(api: Api) -> None:
    segments = [{"flightId": api.flight_id(), "seats": ["99Z"]}]

    ((kind, path),) = await refusals(api, BOOK, wish(api, segments=segments))

    assert (kind, path[:3]) == ("InvalidInputError", ["segments", "0", "seats"])


@sqlite_alone
async def test_the_new_price_comes_with_the_refusal(api: Api) -> None:
    given = wish(api, expectedTotal={"amount": "99.00", "currency": "USD"})

    (error,) = (await api.read(BOOK, i=given))["bookFlight"]["errors"]

    assert error["total"] == {"amount": "100.00", "currency": "USD"}
    mended = given | {"expectedTotal": error["total"]}
    assert (await api.read(BOOK, i=mended))["bookFlight"]["errors"] == []


@sqlite_alone
async def test_a_departed_flight_is_refused(api: Api, clock: ManualClock) -> None:
    clock.advance(25 * 3600)

    assert await refusals(api, BOOK, wish(api)) == [("FlightDepartedError", ["segments", "0", "flightId"])]


@sqlite_alone
async def test_overload_is_a_graphql_error_with_a_time_to_come_back(database: Database, tmp_path: Path) -> None:
    async with world_of(database, tmp_path, active_sagas_max=0) as world, api_of(world) as api:
        answer = await api.ask(BOOK, i=wish(api))

        assert answer.code == "LIMIT_EXCEEDED"
        extensions = answer.errors[0].extensions
        assert (extensions["limit"], extensions["retryAfterSeconds"] >= 1) == (0, True)
        assert await world.sagas_count() == 0


@sqlite_alone
async def test_a_mutation_that_is_refused_leaves_the_others_answers(database: Database, tmp_path: Path) -> None:
    both = (
        "mutation($i: BookFlightInput!, $j: BookFlightInput!) {"
        " first: bookFlight(input: $i) { saga { id } } second: bookFlight(input: $j) { saga { id } } }"
    )
    async with world_of(database, tmp_path, active_sagas_max=1) as world, api_of(world) as api:
        given = wish(api, simulate={"delayMs": 5000})

        answer = await api.ask(both, i=given, j=given)

        assert answer.code == "LIMIT_EXCEEDED"
        assert answer.errors[0].path == ("second",)
        assert answer.data is not None
        assert (answer.data["first"]["saga"] is not None, answer.data["second"]) == (True, None)
        assert await world.sagas_count() == 1


@sqlite_alone
async def test_who_would_hold_too_many_seats_is_told_the_limit_and_an_operator_may(
    database: Database, tmp_path: Path
) -> None:
    asked = BOOK.replace("... on UserError", "... on TooManyHoldsError { limit retryAfterSeconds } ... on UserError")
    async with world_of(database, tmp_path, holds_per_caller_max=2) as world, api_of(world) as api:
        given = wish(api, passengers=[JOHN] * 3)

        refused = (await api.read(asked, i=given))["bookFlight"]

        assert refused["saga"] is None
        (error,) = refused["errors"]
        assert (error["__typename"], error["path"], error["limit"]) == ("TooManyHoldsError", ["segments", "0"], 2)
        assert error["retryAfterSeconds"] is None, "so large a party never finds room"
        assert (await api.read(asked, OPERATOR, i=given))["bookFlight"]["errors"] == []
        trusted = replace(OWNER, is_trusted=True)
        assert (await api.read(asked, trusted, i=wish(api, passengers=[JOHN] * 3)))["bookFlight"]["errors"] == []


@sqlite_alone
async def test_who_has_failed_too_often_is_told_when_to_come_back(database: Database, tmp_path: Path) -> None:
    limits = InventoryLimits(failures=1, wait_seconds_max=60)
    async with world_of(database, tmp_path, limits=limits) as world, api_of(world) as api:
        declined = await world.book(subject=OWNER.subject, payment_token="pm_card_chargeDeclined")
        assert (await world.ended(declined)).status is SagaStatus.COMPENSATED

        answer = await api.ask(BOOK, i=wish(api))

        assert (answer.code, answer.data) == ("LIMIT_EXCEEDED", {"bookFlight": None})
        assert (await api.read(BOOK, replace(OWNER, is_trusted=True), i=wish(api)))["bookFlight"]["errors"] == []


@sqlite_alone
async def test_a_server_without_simulation_refuses_any(api: Api) -> None:
    world = api.world
    bookings = Bookings(world.engine, world.definitions, simulation_allowed=False, default_token="pm_card_visa")
    strict = replace(api, services=replace(api.services, bookings=bookings))

    assert await refusals(strict, BOOK, wish(api, simulate={})) == [("SimulationDisabledError", ["simulate"])]
    assert await world.sagas_count() == 0


# ---------------------------------------------------------------- the same again


async def test_the_same_request_is_the_same_saga_at_any_time(api: Api) -> None:
    given = {"correlationId": str(uuid.uuid4()), "expectedTotal": {"amount": "100.00", "currency": "USD"}}

    many = await asyncio.gather(*(book(api, **given) for _ in range(8)))
    await ended(api, many[0])
    later = await book(api, **given)

    assert {saga["id"] for saga in [*many, later]} == {later["id"]}
    assert later["status"] == "COMPLETED"
    assert await api.world.sagas_count() == 1


@sqlite_alone
async def test_the_same_request_may_be_written_in_another_way(api: Api) -> None:
    it = str(uuid.uuid4())
    saga = await book(api, correlationId=it)

    again = await book(
        api,
        correlationId=it.upper(),
        segments=[{"flightId": api.flight_id(), "cabinClass": "ECONOMY", "seats": None}],
        passengers=[JOHN | {"dateOfBirth": None}],
        loyalty=None,
        payment={"method": "CARD", "token": None},
        simulate=None,
    )

    assert (again["id"], again["correlationId"]) == (saga["id"], it)


@sqlite_alone
async def test_another_request_under_the_same_id_is_refused(api: Api) -> None:
    saga = await book(api)
    changed = wish(api, correlationId=saga["correlationId"], passengers=[JOHN, JOHN])

    assert await refusals(api, BOOK, changed) == [("CorrelationIdReusedError", ["correlationId"])]
    assert await api.world.sagas_count() == 1


@sqlite_alone
async def test_a_refused_request_does_not_burn_its_id(api: Api) -> None:
    it = str(uuid.uuid4())
    await refusals(api, BOOK, wish(api, correlationId=it, passengers=[]))

    assert (await book(api, correlationId=it))["correlationId"] == it


@sqlite_alone
async def test_without_an_id_every_request_is_another(api: Api) -> None:
    first, second = await book(api), await book(api)

    assert first["correlationId"] != second["correlationId"]


# ---------------------------------------------------------------- cancelSaga


async def test_a_running_saga_is_asked_to_stop_and_undoes_what_it_did(api: Api) -> None:
    saga = await book(api, simulate={"delayMs": 300})
    await api.world.step_reached(await view(api, saga), "RESERVE_SEAT", StepStatus.COMPLETED)
    given = {"correlationId": saga["correlationId"]}

    first = (await api.read(CANCEL_SAGA, i=given))["cancelSaga"]
    second = (await api.read(CANCEL_SAGA, i=given))["cancelSaga"]

    assert (first["errors"], second["errors"]) == ([], [])
    assert first["saga"]["id"] == second["saga"]["id"] == saga["id"]
    done = await ended(api, saga)
    assert done.status is SagaStatus.COMPENSATED
    assert done.failure is not None
    assert done.failure.code == "CANCELLED"
    assert set(await api.world.seat_statuses()) == {"AVAILABLE"}


@sqlite_alone
async def test_a_completed_saga_is_too_late_to_cancel_and_names_its_booking(api: Api) -> None:
    saga = await book(api)
    booking = await api.world.booking(await ended(api, saga))
    assert booking is not None

    payload = (await api.read(CANCEL_SAGA, i={"correlationId": saga["correlationId"]}))["cancelSaga"]

    assert payload["saga"] is None
    assert [(error["__typename"], error["path"], error["booking"]) for error in payload["errors"]] == [
        ("TooLateToCancelError", ["correlationId"], {"reference": booking.reference})
    ]


@sqlite_alone
@pytest.mark.parametrize(
    ("document", "more"),
    [(CANCEL_SAGA, {}), (RETRY, {}), (SKIP, {"step": "RESERVE_SEAT", "reason": "Given up."})],
    ids=["cancelSaga", "retrySaga", "skipStep"],
)
async def test_an_unknown_saga_is_not_found(api: Api, document: str, more: dict[str, Any]) -> None:
    given = {"correlationId": str(uuid.uuid4()), **more}

    assert await refusals(api, document, given) == [("SagaNotFoundError", ["correlationId"])]


# ---------------------------------------------------------------- cancelBooking


async def test_a_booking_is_cancelled_and_said_again_it_is_the_same_saga(api: Api) -> None:
    made = await ended(api, await book(api, loyalty={"memberNumber": ADA}))
    booking = await api.world.booking(made)
    assert booking is not None
    given = {"reference": booking.reference}

    first = (await api.read(CANCEL_BOOKING, i=given))["cancelBooking"]
    again = (await api.read(CANCEL_BOOKING, i=given | {"correlationId": str(uuid.uuid4())}))["cancelBooking"]
    assert (await ended(api, first["saga"])).status is SagaStatus.COMPLETED
    later = (await api.read(CANCEL_BOOKING, i=given))["cancelBooking"]

    assert first["errors"] == again["errors"] == later["errors"] == []
    assert first["saga"]["definition"] == "CANCEL_BOOKING"
    assert first["saga"]["id"] == again["saga"]["id"] == later["saga"]["id"]
    found = await api.read(
        """query($it: String!) { booking(reference: $it) {
          status payment { status } cancellation { id } saga { correlationId reservations { status } }
        } }""",
        it=booking.reference,
    )
    assert found["booking"] == {
        "status": "CANCELLED",
        "payment": {"status": "REFUNDED"},
        "cancellation": {"id": first["saga"]["id"]},
        "saga": {"correlationId": made.correlation_id, "reservations": [{"status": "RELEASED"}]},
    }
    assert (await api.world.account()).balance == 50_000


@sqlite_alone
async def test_a_cancellation_under_an_id_of_ones_own_is_idempotent_too(api: Api) -> None:
    booking = await api.world.booking(await ended(api, await book(api)))
    assert booking is not None
    given = {"reference": booking.reference, "correlationId": str(uuid.uuid4())}

    sagas = [(await api.read(CANCEL_BOOKING, i=given))["cancelBooking"]["saga"] for _ in range(2)]

    assert sagas[0]["id"] == sagas[1]["id"]
    assert sagas[0]["correlationId"] == given["correlationId"]


@sqlite_alone
async def test_what_cannot_be_cancelled_is_refused_by_name_and_place(api: Api, clock: ManualClock) -> None:
    saga = await book(api)
    booking = await api.world.booking(await ended(api, saga))
    assert booking is not None
    own = {"reference": booking.reference}

    assert await refusals(api, CANCEL_BOOKING, {"reference": "AAAAAA"}) == [("BookingNotFoundError", ["reference"])]
    assert await refusals(api, CANCEL_BOOKING, own | {"correlationId": saga["correlationId"]}) == [
        ("CorrelationIdReusedError", ["correlationId"])
    ]
    assert await refusals(api, CANCEL_BOOKING, own | {"simulate": {"delayMs": -1}}) == [
        ("InvalidInputError", ["simulate", "delayMs"])
    ]
    clock.advance(25 * 3600)
    payload = (await api.read(CANCEL_BOOKING, i=own))["cancelBooking"]
    assert [(error["__typename"], error["path"], error["booking"]) for error in payload["errors"]] == [
        ("BookingNotCancellableError", ["reference"], {"reference": booking.reference, "status": "CONFIRMED"})
    ]
    assert await api.world.sagas_count() == 1


# ---------------------------------------------------------------- retrySaga and skipStep


async def stuck(world: World, clock: ManualClock) -> SagaView:
    """A saga that cannot undo its payment."""
    simulation = Simulation(fail_at=("AWARD_MILES",), fail_compensation_at=("CANCEL_PAYMENT",))
    return await world.hurried(await world.book(simulation, member_number=ADA), clock, SagaStatus.STUCK)


async def test_an_operator_resumes_a_stuck_saga(api: Api, clock: ManualClock) -> None:
    saga = await stuck(api.world, clock)

    payload = (await api.read(RETRY, OPERATOR, i={"correlationId": saga.correlation_id}))["retrySaga"]

    assert payload["errors"] == []
    assert payload["saga"]["correlationId"] == saga.correlation_id
    assert (await api.world.ended(saga)).status is SagaStatus.COMPENSATED


async def test_an_operator_gives_a_compensation_up_on_the_record(api: Api, clock: ManualClock) -> None:
    saga = await stuck(api.world, clock)
    given = {"correlationId": saga.correlation_id, "step": "AUTHORIZE_PAYMENT", "reason": " Voided by hand. "}

    payload = (await api.read(SKIP, OPERATOR, i=given))["skipStep"]

    assert payload["errors"] == []
    assert (await api.world.ended(saga)).status is SagaStatus.ABANDONED
    asked = """query($id: UUID!) { saga(correlationId: $id) {
      status steps { name status undo { status summary } } queue { compensations compensated }
      events { type step message }
    } }"""
    found = (await api.read(asked, id=saga.correlation_id))["saga"]
    undone = {step["name"]: step["undo"] and step["undo"]["status"] for step in found["steps"]}
    later = dict.fromkeys(steps_of(EARN))
    assert undone == later | {"RESERVE_SEAT": "COMPLETED", "AUTHORIZE_PAYMENT": "SKIPPED"}
    assert found["queue"] == {"compensations": [], "compensated": ["CANCEL_SEAT"]}
    (skipped,) = (each for each in found["events"] if each["type"] == "COMPENSATION_SKIPPED")
    assert skipped["step"] == "AUTHORIZE_PAYMENT"
    assert "Voided by hand." in skipped["message"]
    assert found["events"][-1]["type"] == "SAGA_ABANDONED"


@sqlite_alone
async def test_where_nothing_waits_there_is_nothing_to_retry_or_to_skip(api: Api, clock: ManualClock) -> None:
    completed, waiting = await ended(api, await book(api)), await stuck(api.world, clock)

    for saga, step in ((completed, "RESERVE_SEAT"), (waiting, "RESERVE_SEAT"), (waiting, "CANCEL_BOOKING")):
        given = {"correlationId": saga.correlation_id, "step": step, "reason": "Given up."}
        assert await refusals(api, SKIP, given) == [("NothingToRetryError", ["step"])]
    given = {"correlationId": completed.correlation_id}
    assert await refusals(api, RETRY, given) == [("NothingToRetryError", ["correlationId"])]
    assert (await api.world.view(waiting)).status is SagaStatus.STUCK


@sqlite_alone
@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "[/x]\n[SAGA] forged", "\x1b[2J"])
async def test_giving_up_needs_a_reason(api: Api, clock: ManualClock, reason: str) -> None:
    saga = await stuck(api.world, clock)
    given = {"correlationId": saga.correlation_id, "step": "AUTHORIZE_PAYMENT", "reason": reason}

    assert await refusals(api, SKIP, given) == [("InvalidInputError", ["reason"])]
    assert (await api.world.view(saga)).status is SagaStatus.STUCK
