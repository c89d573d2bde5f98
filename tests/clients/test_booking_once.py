"""What a customer asks for by seatsaga_client is done once, whatever answers are lost; blocking and asyncio alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from seatsaga_client import AsyncClient, BookFlight, Client, RefusedError, Timing

from clients import python_client
from tests.clients.tokens import customer, token
from tests.clients.weather import Weather

TIMING: Final = Timing(backoff_first=0.05)
SAGAS: Final = "{ sagas(first: 100) { edges { node { correlationId } } } }"


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    with Weather(tmp_path_factory.mktemp("weather")) as weather:
        yield weather


class Customer:
    """A blocking client, or the asyncio client as one."""

    def __init__(self, weather: Weather, *, is_async: bool) -> None:
        self.bearer = token(customer())
        self._client: Any = (AsyncClient if is_async else Client)(weather.url, self.bearer, timing=TIMING)
        self._loop = asyncio.new_event_loop() if is_async else None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        loop = self._loop
        return method if loop is None else lambda *given, **named: loop.run_until_complete(method(*given, **named))

    def events(self, correlation_id: str) -> list[str]:
        if self._loop is None:
            return [event["type"] for event in self._client.follow(correlation_id)]

        async def read() -> list[str]:
            return [event["type"] async for event in self._client.follow(correlation_id)]

        return self._loop.run_until_complete(read())

    def end(self) -> None:
        if self._loop is None:
            self._client.close()
        else:
            self._loop.run_until_complete(self._client.aclose())
            self._loop.close()


@pytest.fixture(params=[False, True], ids=["blocking", "async"])
def ada(weather: Weather, request: pytest.FixtureRequest) -> Iterator[Customer]:
    ada = Customer(weather, is_async=request.param)
    yield ada
    ada.end()
    weather.calm()


def journey(weather: Weather) -> BookFlight:
    return {
        "segments": [{"flightId": weather.flight}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
    }


def test_a_booking_whose_answers_are_lost_is_made_once(weather: Weather, ada: Customer) -> None:
    weather.lose(2)
    saga = ada.book(journey(weather))

    assert ada.wait(saga["correlationId"])["status"] == "COMPLETED"
    assert ada.events(saga["correlationId"])[-1] == "SAGA_COMPLETED"
    edges = ada.execute(SAGAS)["sagas"]["edges"]
    assert [edge["node"]["correlationId"] for edge in edges] == [saga["correlationId"]]


def test_a_hold_is_paid_once_and_with_another_card_after_a_decline(weather: Weather, ada: Customer) -> None:
    weather.lose()
    held = ada.hold(journey(weather))
    held = ada.wait(held["correlationId"])
    assert (held["status"], held["awaiting"]["__typename"]) == ("WAITING", "PaymentAwaited")

    ada.pay(held["correlationId"], "pm_card_chargeDeclined")
    declined = ada.wait(held["correlationId"])
    while declined["awaiting"]["lastFailure"] is None:
        declined = ada.saga(held["correlationId"])
    assert declined["awaiting"]["lastFailure"]["code"] == "PAYMENT_DECLINED"

    weather.lose()
    ada.pay(held["correlationId"])
    over = ada.events(held["correlationId"])
    assert (over[-1], over.count("SAGA_COMPLETED")) == ("SAGA_COMPLETED", 1)
    with pytest.raises(RefusedError) as refused:
        ada.pay(held["correlationId"], "pm_card_mastercard")
    assert (refused.value.code, refused.value.correlation_id) == ("NOTHING_TO_PAY", held["correlationId"])


def test_a_hold_is_cancelled_once(weather: Weather, ada: Customer) -> None:
    held = ada.hold(journey(weather))
    weather.lose()
    ada.cancel(held["correlationId"], "The customer stays at home.")

    assert ada.events(held["correlationId"])[-1] == "SAGA_COMPENSATED"
    assert ada.saga(held["correlationId"])["failure"]["code"] == "CANCELLED"


@pytest.mark.parametrize(("card", "ends"), [(None, "SAGA_COMPLETED"), ("pm_card_chargeDeclined", "SAGA_COMPENSATED")])
def test_the_purchase_of_the_page_ends_as_its_card_says(weather: Weather, card: str | None, ends: str) -> None:
    bearer = token(customer())
    passengers = journey(weather)["passengers"]
    events = list(python_client.buy(weather.url, lambda: bearer, weather.flight, passengers, card))

    assert events[-1]["type"] == ends
    with pytest.raises(RefusedError) as refused:
        next(python_client.buy(weather.url, lambda: bearer, "RmxpZ2h0OjA", passengers, card))
    assert python_client.advise(refused.value) == "Choose another flight."


def test_what_the_customer_can_change_is_told_by_its_code(weather: Weather, ada: Customer) -> None:
    with pytest.raises(RefusedError) as refused:
        ada.book({**journey(weather), "expectedTotal": {"amount": "1.00", "currency": "USD"}})
    assert (refused.value.code, refused.value.errors[0]["__typename"]) == ("PRICE_CHANGED", "PriceChangedError")


def test_the_clock_is_the_servers(weather: Weather, ada: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 3600)
    ada.execute("{ __typename }")
    assert abs(ada._client.server_now() - now()) < 3
