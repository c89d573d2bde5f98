"""Every rule of a booking request: which refusal, at which path, and that nothing was begun."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.bookings import (
    BookFlight,
    Bookings,
    FlightDeparted,
    FlightNotFound,
    InvalidInput,
    LimitExceeded,
    MemberNotFound,
    Passenger,
    PriceChanged,
    RefusalCode,
    SegmentWish,
    SimulationDisabled,
)
from domain.bookings.validation import check_journey
from domain.clock import SECOND, ManualClock, from_datetime
from domain.flights import Flight
from domain.money import Money
from domain.saga import SagaStatus, SagaView, Simulation, StepStatus
from domain.seats import CabinClass, SeatStatus
from tests.domain.bookings.world import ADA, JANE, JOHN, World
from tests.support.sequences import BOOKINGS, CANCELLATION

Changes = Callable[[World], dict[str, Any]]
Place = tuple[type[object], tuple[str, ...]]
#: Of each step, whether it has an answer to lose.
CALLS_OUT = {step.name: step.is_remote for definition in (*BOOKINGS, CANCELLATION) for step in definition.steps}
HOUR = 3600 * SECOND
OUT, BACK, ONWARD = 0, 1, 2
"""London to New York; New York to London two days from now; New York to Los Angeles in between."""


@dataclass(frozen=True)
class Rule:
    """A request that breaks one rule, and the refusals that name it."""

    name: str
    changes: Changes
    places: tuple[Place, ...]


def always(**changes: Any) -> Changes:
    """A change that needs nothing of the world."""
    return lambda world: changes


def legs(*flights: int) -> Changes:
    """A journey over these flights of the world."""
    return lambda world: {"segments": [SegmentWish(world.flight_ids[flight]) for flight in flights]}


def wish(*numbers: str, cabin: CabinClass = CabinClass.ECONOMY, passengers: int = 1) -> Changes:
    """One flight with these seats for so many passengers."""
    return lambda world: {
        "segments": [SegmentWish(world.flight_ids[OUT], cabin, list(numbers))],
        "passengers": [JOHN] * passengers,
    }


def invalid(*path: str) -> Place:
    return InvalidInput, path


def breaks(name: str, changes: Changes, *places: Place) -> Rule:
    return Rule(name, changes, places)


SHAPE = [
    breaks("no segment", always(segments=[]), invalid("segments")),
    breaks("five segments", always(segments=[SegmentWish(1000 + n) for n in range(5)]), invalid("segments")),
    breaks("a flight twice", legs(OUT, OUT), invalid("segments", "1", "flightId")),
    breaks("a flight twice with one between", legs(OUT, BACK, OUT), invalid("segments", "2", "flightId")),
    breaks("no passenger", always(passengers=[]), invalid("passengers")),
    breaks("ten passengers", always(passengers=[JOHN] * 10), invalid("passengers")),
    breaks("fewer seats than passengers", wish("12C", passengers=2), invalid("segments", "0", "seats")),
    breaks("more seats than passengers", wish("12C", "12D"), invalid("segments", "0", "seats")),
    breaks("seats named, but none", wish(), invalid("segments", "0", "seats")),
    breaks("a seat twice", wish("12C", "12C", passengers=2), invalid("segments", "0", "seats", "1")),
    breaks("a seat twice in either case", wish("12C", "12c", passengers=2), invalid("segments", "0", "seats", "1")),
    breaks("a row too far", wish("28A"), invalid("segments", "0", "seats", "0")),
    breaks("a row 0", wish("0A"), invalid("segments", "0", "seats", "0")),
    breaks("a row with a leading zero", wish("012C"), invalid("segments", "0", "seats", "0")),
    breaks("a letter too far", wish("12G"), invalid("segments", "0", "seats", "0")),
    breaks("a letter alone", wish("C"), invalid("segments", "0", "seats", "0")),
    breaks("an empty seat", wish(""), invalid("segments", "0", "seats", "0")),
    breaks("a digit of another script", wish("1٢C"), invalid("segments", "0", "seats", "0")),
    breaks("the second seat of two", wish("12C", "99X", passengers=2), invalid("segments", "0", "seats", "1")),
    breaks("a business seat in economy", wish("3F"), invalid("segments", "0", "seats", "0")),
    breaks(
        "an economy seat in business", wish("4A", cabin=CabinClass.BUSINESS), invalid("segments", "0", "seats", "0")
    ),
    breaks("a business seat in first", wish("3A", cabin=CabinClass.FIRST), invalid("segments", "0", "seats", "0")),
    *(
        breaks(name, always(passengers=[replace(JOHN, **{field: value})]), invalid("passengers", "0", place))
        for name, field, value, place in (
            ("a blank given name", "given_name", " \t\u00a0", "givenName"),
            ("a given name of 101 characters", "given_name", "x" * 101, "givenName"),
            ("a family name of 101 characters", "family_name", "ß" * 101, "familyName"),
            ("a control character in a name", "family_name", "Smi\x00th", "familyName"),
            ("a joiner alone", "family_name", " \u200d", "familyName"),
            ("right to left by force", "family_name", "Smi\u202eth", "familyName"),
        )
    ),
    breaks(
        "a blank family name of the second",
        always(passengers=[JOHN, replace(JANE, family_name="  ")]),
        invalid("passengers", "1", "familyName"),
    ),
    breaks("negative points", always(member_number=ADA, points_to_redeem=-1), invalid("loyalty", "pointsToRedeem")),
    breaks("an empty token", always(payment_token=""), invalid("payment", "token")),
    breaks("a blank token", always(payment_token="  "), invalid("payment", "token")),
    breaks("a token of 201 characters", always(payment_token="x" * 201), invalid("payment", "token")),
    breaks("a token with a line break", always(payment_token="pm\ncard"), invalid("payment", "token")),
    breaks("a negative delay", always(simulation=Simulation(delay_ms=-1)), invalid("simulate", "delayMs")),
    breaks("a delay over 5 s", always(simulation=Simulation(delay_ms=5_001)), invalid("simulate", "delayMs")),
    *(
        breaks(
            f"an answer lost at {step}",
            always(simulation=Simulation(lose_answer_at=("CONFIRM_BOOKING", step))),
            invalid("simulate", "loseAnswerAt", "1"),
        )
        for step in sorted(name for name, calls_out in CALLS_OUT.items() if not calls_out)
    ),
    breaks(
        "several things",
        always(
            segments=[],
            passengers=[replace(JOHN, given_name="", family_name="")],
            points_to_redeem=-1,
            payment_token="",
            simulation=Simulation(delay_ms=-1),
        ),
        invalid("segments"),
        invalid("passengers", "0", "givenName"),
        invalid("passengers", "0", "familyName"),
        invalid("loyalty", "pointsToRedeem"),
        invalid("payment", "token"),
        invalid("simulate", "delayMs"),
    ),
]

JOURNEY = [
    breaks(
        "an unknown flight", always(segments=[SegmentWish(999_999)]), (FlightNotFound, ("segments", "0", "flightId"))
    ),
    breaks(
        "an id that names no flight",
        always(segments=[SegmentWish(None)]),
        (FlightNotFound, ("segments", "0", "flightId")),
    ),
    breaks(
        "the second of two is unknown",
        lambda world: {"segments": [SegmentWish(world.flight_ids[OUT]), SegmentWish(999_999)]},
        (FlightNotFound, ("segments", "1", "flightId")),
    ),
    breaks("a journey out of order", legs(BACK, OUT), invalid("segments", "1", "flightId")),
    breaks("a journey that does not connect", legs(ONWARD, BACK), invalid("segments", "1", "flightId")),
    breaks(
        "a journey that does neither",
        legs(BACK, ONWARD),
        invalid("segments", "1", "flightId"),
        invalid("segments", "1", "flightId"),
    ),
    breaks(
        "a birth in the future",
        always(passengers=[JOHN, Passenger("Ada", "Lovelace", "2999-01-01")]),
        invalid("passengers", "1", "dateOfBirth"),
    ),
    breaks(
        "a birth too long ago",
        always(passengers=[Passenger("Ada", "Lovelace", "1815-12-10")]),
        invalid("passengers", "0", "dateOfBirth"),
    ),
    breaks("an unknown member", always(member_number="SS9999999"), (MemberNotFound, ("loyalty", "memberNumber"))),
    breaks(
        "more points than the total",
        always(member_number=ADA, points_to_redeem=10_001),
        invalid("loyalty", "pointsToRedeem"),
    ),
    breaks("another total", always(expected_total=Money(9_999)), (PriceChanged, ("expectedTotal",))),
    breaks("another currency", always(expected_total=Money(10_000, "EUR")), invalid("expectedTotal", "currency")),
    breaks(
        "several things that depend on the world",
        always(member_number="SS9999999", points_to_redeem=10_001, expected_total=Money(1)),
        (PriceChanged, ("expectedTotal",)),
        invalid("loyalty", "pointsToRedeem"),
        (MemberNotFound, ("loyalty", "memberNumber")),
    ),
]


async def assert_refused(world: World, changes: dict[str, Any], *places: Place) -> None:
    """Refused for just that, and nothing at all is begun: the correlation ID is still free."""
    request = world.request(**changes)
    refusals = await world.refusals(request)
    assert [(type(refusal), getattr(refusal, "path", None)) for refusal in refusals] == list(places)
    assert all(refusal.message.endswith(".") for refusal in refusals)
    assert all(isinstance(refusal, LimitExceeded) or refusal.code in RefusalCode for refusal in refusals)
    assert await world.sagas_count() == 0
    assert request.correlation_id is not None
    assert await world.engine.saga(request.correlation_id) is None
    assert set(await world.seat_statuses()) == {SeatStatus.AVAILABLE}


async def test_a_request_that_breaks_a_rule_is_refused_by_name_and_place(
    world: World, subtests: pytest.Subtests
) -> None:
    # What is refused leaves nothing behind, so one world is enough for all of them.
    for rule in [*SHAPE, *JOURNEY]:
        with subtests.test(rule.name):
            await assert_refused(world, rule.changes(world), *rule.places)


async def test_points_without_a_member_are_refused(world: World) -> None:
    await assert_refused(world, {"points_to_redeem": 100}, invalid("loyalty", "memberNumber"))


async def test_the_new_total_is_told_with_the_refusal(world: World) -> None:
    request = world.request(passengers=[JOHN, JANE], expected_total=Money(10_000))
    (refusal,) = await world.refusals(request)
    assert isinstance(refusal, PriceChanged)
    assert refusal.total == Money(20_000)


async def test_a_flight_that_has_departed_is_refused(world: World, clock: ManualClock) -> None:
    clock.advance(24 * 3600)
    await assert_refused(world, {}, (FlightDeparted, ("segments", "0", "flightId")))


async def test_every_departed_and_unknown_flight_of_a_journey_is_named(world: World, clock: ManualClock) -> None:
    clock.advance(24 * 3600)
    segments = [SegmentWish(world.flight_ids[OUT]), SegmentWish(world.flight_ids[BACK]), SegmentWish(None)]
    await assert_refused(
        world,
        {"segments": segments},
        (FlightDeparted, ("segments", "0", "flightId")),
        (FlightNotFound, ("segments", "2", "flightId")),
    )


async def test_flights_of_one_booking_are_sold_in_one_currency(world: World) -> None:
    abroad = await world.add_flight("T200", "JFK", "LHR", 72, currency="EUR")
    await assert_refused(
        world, {"segments": [SegmentWish(world.flight_ids[OUT]), SegmentWish(abroad)]}, invalid("segments")
    )


async def test_points_pay_only_for_flights_sold_in_their_own_currency(world: World) -> None:
    abroad = await world.add_flight("T200", "JFK", "LHR", 72, currency="EUR")
    changes = {"segments": [SegmentWish(abroad)], "member_number": ADA, "points_to_redeem": 1}
    await assert_refused(world, changes, invalid("loyalty", "pointsToRedeem"))


async def test_a_provider_without_a_default_card_needs_a_token(world: World) -> None:
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=True, default_token=None)
    await assert_refused(world, {}, invalid("payment", "token"))
    assert isinstance(await world.bookings.book(world.request(payment_token="pm_card_visa")), SagaView)


async def test_a_server_without_simulation_refuses_any(world: World) -> None:
    world.bookings = Bookings(world.engine, world.definitions, simulation_allowed=False, default_token="pm_card_visa")
    await assert_refused(world, {"simulation": Simulation()}, (SimulationDisabled, ("simulate",)))
    await assert_refused(world, {"simulation": Simulation(delay_ms=1)}, (SimulationDisabled, ("simulate",)))
    assert isinstance(await world.bookings.book(world.request()), SagaView)


#: Seats that are named come first: nobody who may sit anywhere has taken them.
ACCEPTED: dict[str, Changes] = {
    "a seat a passenger": wish("12C", "12D", passengers=2),
    "the last seat": wish("27F"),
    "the last business seat": wish("3F", cabin=CabinClass.BUSINESS),
    "a first seat as business": wish("1A", cabin=CabinClass.BUSINESS),
    "the last first seat": wish("2F", cabin=CabinClass.FIRST),
    "nine passengers": always(passengers=[JOHN] * 9),
    "connecting flights": legs(OUT, ONWARD),
    "names of 100 characters": always(passengers=[Passenger("x" * 100, "ß" * 100)]),
    "names of anywhere": always(passengers=[Passenger("Nguyễn Văn", "O'Brien-Łukasz", "1900-01-01")]),
    "names with joiners": always(passengers=[Passenger("می\u200cنا", "क्\u200dष", "1900-01-01")]),
    "a family name alone": always(passengers=[Passenger("", "Sukarno")]),
    "a given name alone": always(passengers=[Passenger("Teller", "")]),
    "points for all of it": always(member_number=ADA, points_to_redeem=10_000),
    "the expected total": always(expected_total=Money(10_000)),
    "the total is before points": always(member_number=ADA, points_to_redeem=1, expected_total=Money(10_000)),
    "no delay": always(simulation=Simulation(delay_ms=0)),
    **{
        f"an answer lost at {step}": always(simulation=Simulation(lose_answer_at=(step,)))
        for step in sorted(name for name, calls_out in CALLS_OUT.items() if calls_out)
    },
}


async def test_what_is_just_within_the_rules_is_booked(world: World, subtests: pytest.Subtests) -> None:
    for name, changes in ACCEPTED.items():
        with subtests.test(name):
            saga = await world.ended(await world.book(**changes(world)))
            assert saga.status is SagaStatus.COMPLETED


async def test_the_longest_delay_is_accepted(world: World) -> None:
    saga = await world.book(Simulation(delay_ms=5_000))
    assert saga.steps[0].status is StepStatus.EXECUTING


async def test_a_journey_may_have_four_segments(world: World) -> None:
    again = await world.add_flight("T200", "LHR", "JFK", 72)
    home = await world.add_flight("T201", "JFK", "LHR", 96)
    flights = [world.flight_ids[OUT], world.flight_ids[BACK], again, home]
    saga = await world.ended(await world.book(segments=[SegmentWish(flight) for flight in flights]))
    assert saga.status is SagaStatus.COMPLETED
    assert [item.flight_id for item in await world.reservations(saga)] == flights


async def test_a_seat_is_named_in_either_case(world: World) -> None:
    request = world.request(**wish("12c", "27f", passengers=2)(world))
    answer = await world.bookings.book(request)
    assert isinstance(answer, SagaView)
    saga = await world.ended(answer)
    assert sorted(item.number for item in await world.reservations(saga)) == ["12C", "27F"]
    louder = replace(request, segments=[SegmentWish(world.flight_ids[OUT], seats=["12C", "27F"])])
    again = await world.bookings.book(louder)
    assert isinstance(again, SagaView)
    assert again.id == saga.id


def flight(flight_id: int, origin: str, destination: str, departs_at: int) -> Flight:
    fares = {cabin.value: Money(10_000) for cabin in CabinClass}
    arrives_at = departs_at + HOUR
    return Flight(
        flight_id, f"T{flight_id}", origin, destination, departs_at, arrives_at, "2030-01-01", 100, fares, "USD"
    )


def journey(*flight_ids: int) -> BookFlight:
    return BookFlight("someone", [SegmentWish(flight_id) for flight_id in flight_ids], [JOHN])


@pytest.mark.parametrize(
    ("born", "code"),
    [
        ("2026-11-30", None),
        ("2026-12-01", None),  # It is tomorrow already, somewhere.
        ("2026-12-02", RefusalCode.DATE_OF_BIRTH_IN_FUTURE),
        ("1896-11-28", None),
        ("1896-11-27", RefusalCode.DATE_OF_BIRTH_TOO_EARLY),
    ],
)
def test_a_passenger_is_born_by_today_and_within_130_years(born: str, code: RefusalCode | None) -> None:
    now = from_datetime(datetime(2026, 11, 30, 12, tzinfo=UTC))
    request = replace(journey(1), passengers=[Passenger("Ada", "Lovelace", born)])
    faults = check_journey(request, {1: flight(1, "LHR", "JFK", now + HOUR)}, now=now)
    assert [getattr(fault, "code", None) for fault in faults] == ([] if code is None else [code])


@pytest.mark.parametrize(("departs_in", "refused"), [(-1, True), (0, True), (1, False)])
def test_a_flight_that_leaves_at_this_very_moment_has_departed(departs_in: int, refused: bool) -> None:
    now = 1_000 * HOUR
    faults = check_journey(journey(1), {1: flight(1, "LHR", "JFK", now + departs_in)}, now=now)
    assert [type(fault) for fault in faults] == ([FlightDeparted] if refused else [])


@pytest.mark.parametrize(("after_arrival", "refused"), [(-1, True), (0, True), (1, False)])
def test_a_flight_departs_only_after_the_one_before_it_has_arrived(after_arrival: int, refused: bool) -> None:
    flights = {1: flight(1, "LHR", "JFK", HOUR), 2: flight(2, "JFK", "LAX", 2 * HOUR + after_arrival)}
    faults = check_journey(journey(1, 2), flights, now=0)
    assert [(type(fault), getattr(fault, "path", None)) for fault in faults] == (
        [invalid("segments", "1", "flightId")] if refused else []
    )
