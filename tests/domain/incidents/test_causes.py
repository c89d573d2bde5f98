"""Stuck and parked sagas as an operator meets them: one incident a cause and place, the worst first."""

from __future__ import annotations

from domain.bookings import DefinitionName
from domain.clock import SECOND
from domain.incidents import sagas_of
from domain.loyalty import EntryReason
from domain.money import Money
from domain.saga import Direction, SagaQuery, SagaStatus, page
from domain.seats import SeatReservationStatus
from tests.domain.incidents.ledger import FARE, POINTS, Ledger
from tests.support.statements import executed

EARN, REDEEM, CANCEL = DefinitionName


async def test_there_is_no_incident_while_every_saga_goes_on(ledger: Ledger) -> None:
    for status in set(SagaStatus) - {SagaStatus.STUCK, SagaStatus.PARKED}:
        await ledger.pays(await ledger.saga(status=status))
    assert await ledger.incidents() == []


async def test_sagas_of_one_cause_and_place_are_one_incident_with_their_sums(ledger: Ledger) -> None:
    for number in range(3):
        saga = await ledger.saga(
            REDEEM, at="PROCESS_PAYMENT", since=ledger.now - number * SECOND, message=f"Refused {number}."
        )
        await ledger.pays(saga)
        await ledger.enters(saga, EntryReason.REDEEMED, -POINTS, 0)
        await ledger.seats(saga, SeatReservationStatus.HELD, SeatReservationStatus.EXPIRED)
    (incident,) = await ledger.incidents()
    assert (incident.status, incident.step, incident.compensation, incident.failure_code) == (
        SagaStatus.STUCK,
        "PROCESS_PAYMENT",
        "REFUND_PAYMENT",
        "PAYMENT_REJECTED",
    )
    assert (incident.sagas, incident.points, incident.seats) == (3, 3 * POINTS, 3)
    assert incident.money == [Money(3 * FARE)]
    assert (incident.oldest_since, incident.newest_since) == (ledger.now - 2 * SECOND, ledger.now)
    assert incident.message == "Refused 0."


async def test_the_message_is_that_of_the_newest_failure_not_of_the_newest_saga(ledger: Ledger) -> None:
    await ledger.saga(message="Older.", since=ledger.now)
    await ledger.saga(message="Newer.", since=ledger.now - SECOND, updated_at=ledger.now + SECOND)
    (incident,) = await ledger.incidents()
    assert incident.message == "Newer."


async def test_another_code_step_direction_or_status_is_another_incident(ledger: Ledger) -> None:
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.saga(EARN, at="AUTHORIZE_PAYMENT")
    await ledger.saga(EARN, at="AUTHORIZE_PAYMENT", code="TIMEOUT")
    await ledger.saga(EARN, at="CONFIRM_BOOKING")
    await ledger.saga(EARN, SagaStatus.PARKED, at="AUTHORIZE_PAYMENT")
    await ledger.cancellation(booked)
    found = {(each.status.value, each.step, each.compensation, each.failure_code) for each in await ledger.incidents()}
    assert found == {
        ("STUCK", "AUTHORIZE_PAYMENT", "CANCEL_PAYMENT", "PAYMENT_REJECTED"),
        ("STUCK", "AUTHORIZE_PAYMENT", "CANCEL_PAYMENT", "TIMEOUT"),
        ("STUCK", "CONFIRM_BOOKING", "CANCEL_BOOKING", "PAYMENT_REJECTED"),
        ("PARKED", "AUTHORIZE_PAYMENT", None, "PAYMENT_REJECTED"),
        ("STUCK", "REFUND_PAYMENT", None, "PAYMENT_REJECTED"),
    }


async def test_a_place_is_shared_by_both_definitions_that_have_it(ledger: Ledger) -> None:
    await ledger.saga(EARN, at="RESERVE_SEAT", code="INTERNAL")
    await ledger.saga(REDEEM, at="RESERVE_SEAT", code="INTERNAL")
    (incident,) = await ledger.incidents()
    assert (incident.step, incident.compensation, incident.sagas) == ("RESERVE_SEAT", "CANCEL_SEAT", 2)


async def test_money_of_several_currencies_stands_apart_the_most_first(ledger: Ledger) -> None:
    for minor, currency in ((100_00, "USD"), (9_000, "JPY"), (50_00, "USD"), (700_000, "BHD")):
        await ledger.pays(await ledger.saga(), minor=minor, currency=currency)
    await ledger.saga()
    (incident,) = await ledger.incidents()
    assert incident.sagas == 5
    assert incident.money == [Money(9_000, "JPY"), Money(700_000, "BHD"), Money(150_00, "USD")]


async def test_the_worst_comes_first_by_money_then_by_sagas_then_by_age(ledger: Ledger) -> None:
    for _ in range(3):
        await ledger.saga(code="MANY")
    await ledger.saga(code="YOUNG")
    await ledger.saga(code="OLD", since=ledger.now - SECOND)
    await ledger.pays(await ledger.saga(code="RICH"), minor=1)
    await ledger.pays(await ledger.saga(code="RICHER"), minor=2)
    assert [incident.failure_code for incident in await ledger.incidents()] == [
        "RICHER",
        "RICH",
        "MANY",
        "OLD",
        "YOUNG",
    ]


async def test_unlike_currencies_are_not_added_the_most_of_any_comes_first(ledger: Ledger) -> None:
    """9,000 yen are not more than 100 dollars, nor less: both lead in their currency, so the older of them is first."""
    for code, minor, currency in (
        ("YEN", 9_000, "JPY"),
        ("DOLLARS", 100_00, "USD"),
        ("FEWER_YEN", 8_000, "JPY"),
        ("CENTS", 50, "USD"),
    ):
        since = ledger.now - (SECOND if code == "DOLLARS" else 0)
        await ledger.pays(await ledger.saga(code=code, since=since), minor=minor, currency=currency)
    for minor, currency in ((7_000, "JPY"), (60, "USD")):
        await ledger.pays(await ledger.saga(code="BOTH"), minor=minor, currency=currency)
    found = [incident.failure_code for incident in await ledger.incidents()]
    assert found == ["DOLLARS", "YEN", "BOTH", "FEWER_YEN", "CENTS"]


async def test_a_cancellation_counts_the_booking_that_it_cancels_once(ledger: Ledger) -> None:
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.pays(booked)
    await ledger.seats(booked, SeatReservationStatus.CONFIRMED)
    await ledger.cancellation(booked)
    (incident,) = await ledger.incidents()
    assert (incident.sagas, incident.money, incident.seats) == (1, [Money(FARE)], 1)


async def test_a_parked_saga_counts_since_it_was_parked_and_says_why(ledger: Ledger) -> None:
    await ledger.saga(
        status=SagaStatus.PARKED, since=ledger.now - SECOND, updated_at=ledger.now, code="FAULT", message="It breaks."
    )
    (incident,) = await ledger.incidents()
    assert (incident.failure_code, incident.message) == ("FAULT", "It breaks.")
    assert incident.oldest_since == incident.newest_since == ledger.now - SECOND


async def test_a_saga_that_an_older_release_let_get_stuck_counts_since_its_last_change(ledger: Ledger) -> None:
    saga = await ledger.saga(since=ledger.now - SECOND)
    await ledger.change(saga, stuck_since=None)
    (incident,) = await ledger.incidents()
    assert incident.oldest_since == ledger.now - SECOND


async def test_the_list_of_sagas_by_place_and_code_has_exactly_the_sagas_of_the_incident(ledger: Ledger) -> None:
    """So that what is counted here is what a bulk action finds."""
    booked = await ledger.saga(status=SagaStatus.COMPLETED)
    for code in ("PAYMENT_REJECTED", "TIMEOUT"):
        for step in ("AUTHORIZE_PAYMENT", "RESERVE_SEAT"):
            await ledger.saga(EARN, at=step, code=code)
            await ledger.saga(EARN, SagaStatus.PARKED, at=step, code=code)
    await ledger.saga(REDEEM, at="RESERVE_SEAT", code="TIMEOUT")
    await ledger.cancellation(booked, code="TIMEOUT")
    await ledger.saga(EARN, at="AUTHORIZE_PAYMENT", code="TIMEOUT", direction=Direction.FORWARD)
    await ledger.change(await ledger.saga(status=SagaStatus.PARKED), parked_code=None)
    await ledger.change(await ledger.saga(status=SagaStatus.PARKED), parked_code=None, position=99)
    for status in (SagaStatus.STUCK, SagaStatus.PARKED):
        await ledger.change(await ledger.saga(status=status, code="UNREADABLE"), position=99)
    found = await ledger.incidents()
    assert len(found) == 14
    async with ledger.database.reading() as connection:
        for incident in found:
            is_stuck = incident.status is SagaStatus.STUCK and incident.step is not None
            query = SagaQuery(
                statuses=[incident.status],
                stuck_at=incident.step,
                stuck_with=[incident.failure_code],
                is_place_known=incident.step is not None,
                is_undoing=incident.compensation is not None if is_stuck else None,
            )
            listed = {view.id for view in await page(connection, query, after=None, limit=20)}
            assert listed == {view.id for view in await sagas_of(connection, incident, after=None, limit=20)}
            assert len(listed) == incident.sagas


async def test_a_saga_whose_row_no_release_can_read_is_an_incident_and_hides_no_other(ledger: Ledger) -> None:
    unreadable = await ledger.saga(status=SagaStatus.PARKED, code="UNREADABLE", context="{oops")
    await ledger.pays(unreadable)
    await ledger.change(unreadable, position=99, effects=-1)
    await ledger.saga(code="TIMEOUT")
    first, second = await ledger.incidents()
    assert (first.status, first.step, first.failure_code, first.money) == (
        SagaStatus.PARKED,
        None,
        "UNREADABLE",
        [Money(FARE)],
    )
    assert second.failure_code == "TIMEOUT"


async def test_a_saga_that_was_parked_by_hand_without_a_word_hides_no_other(ledger: Ledger) -> None:
    saga = await ledger.saga(status=SagaStatus.PARKED)
    await ledger.change(saga, parked_at=None, parked_code=None, parked_reason=None, updated_at=ledger.now - SECOND)
    await ledger.saga(code="TIMEOUT")
    second, first = await ledger.incidents()
    assert (first.failure_code, first.message, first.oldest_since) == ("TIMEOUT", "No.", ledger.now)
    assert (second.failure_code, second.message, second.oldest_since) == ("UNKNOWN", "", ledger.now - SECOND)


async def test_a_saga_that_keeps_no_cause_is_an_incident(ledger: Ledger) -> None:
    saga = await ledger.saga()
    await ledger.change(saga, position=99)
    (incident,) = await ledger.incidents()
    assert (incident.step, incident.failure_code, incident.message) == (None, "UNKNOWN", "")


async def test_all_incidents_are_read_by_one_statement(ledger: Ledger) -> None:
    for code in ("A", "B", "C"):
        await ledger.saga(code=code, direction=Direction.BACKWARD)
    with executed(ledger.database) as seen:
        assert len(await ledger.incidents()) == 3
    assert len([statement for statement, _ in seen if "FROM" in statement]) == 1
