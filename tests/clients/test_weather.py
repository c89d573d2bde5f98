"""The weather itself: each command does to a plain connection what it says."""

from __future__ import annotations

import json
import select
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.tokens import customer, token
from tests.clients.weather import SUBSCRIPTIONS_MAX, Weather

EVENTS = "subscription($id: UUID!) { sagaEvents(correlationId: $id) { sequence type } }"
BOOK = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { errors { __typename } } }"


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    with Weather(tmp_path_factory.mktemp("weather")) as weather:
        yield weather


@pytest.fixture
def subject(weather: Weather) -> Iterator[str]:
    yield customer()
    weather.calm()


def asked(weather: Weather, subject: str, query: str, accept: str = "application/json", **variables: Any) -> Any:
    headers = {"Authorization": f"Bearer {token(subject)}", "Accept": accept}
    body = {"query": query, "variables": variables}
    return httpx.stream("POST", f"{weather.url}/graphql", json=body, headers=headers, timeout=5)


def booked(weather: Weather, subject: str, **simulate: Any) -> str:
    correlation_id = str(uuid.uuid4())
    passengers = [{"givenName": "Ada", "familyName": "Lovelace"}]
    wanted = {"segments": [{"flightId": weather.flight}], "passengers": passengers, "simulate": simulate}
    with asked(weather, subject, BOOK, input={**wanted, "correlationId": correlation_id}) as answer:
        assert json.loads(answer.read())["data"]["bookFlight"]["errors"] == []
    return correlation_id


def status(weather: Weather, subject: str) -> int:
    with asked(weather, subject, "{ __typename }") as answer:
        return int(answer.status_code)


def test_a_server_stops_dies_and_starts_again_at_the_same_address(weather: Weather, subject: str) -> None:
    correlation_id = booked(weather, subject, delayMs=300)
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line == "event: next")
        assert weather.stop_server() == 0
        assert "event: complete" not in list(lines)
    with pytest.raises(httpx.TransportError):
        status(weather, subject)
    weather.start_server()
    assert status(weather, subject) == 200
    weather.kill_server()
    with pytest.raises(httpx.TransportError):
        status(weather, subject)
    weather.start_server()
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        assert "SAGA_COMPLETED" in stream.read().decode()


def test_a_proxy_answers_in_the_place_of_the_server_for_so_many_times(weather: Weather, subject: str) -> None:
    weather.answer(503, retry_after=2, times=2)
    for given in (1, 2):
        with asked(weather, subject, "{ __typename }") as answer:
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.read().startswith(b"<html>")
        assert weather.answered() == given
    assert status(weather, subject) == 200


def test_a_connection_is_reset(weather: Weather, subject: str) -> None:
    with asked(weather, subject, EVENTS, "text/event-stream", id=str(uuid.uuid4())) as stream:
        assert weather.cut() >= 1
        with pytest.raises(httpx.ReadError):
            stream.read()


def test_a_connection_hangs_while_new_ones_do_not_and_then_goes_on(weather: Weather, subject: str) -> None:
    correlation_id = booked(weather, subject, delayMs=200)
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line == "event: next")
        assert weather.hang() >= 1
        with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as other:
            assert "SAGA_COMPLETED" in other.read().decode()
        read = stream.extensions["network_stream"].get_extra_info("socket")
        assert select.select([read], [], [], 0.1)[0] == []
        weather.hang(new=True)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{weather.url}/healthz", timeout=0.2)
        weather.flow()
        assert any("SAGA_COMPLETED" in line for line in lines)


def test_a_network_is_slow(weather: Weather, subject: str) -> None:
    correlation_id = booked(weather, subject)
    weather.slow(4_000)
    began = time.monotonic()
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        length = len(stream.read())
    assert time.monotonic() - began > length / 4_000 * 0.5


def test_a_server_is_full_for_one_customer_and_for_all(weather: Weather, subject: str) -> None:
    correlation_id = booked(weather, subject)
    assert weather.busy(subject) == SUBSCRIPTIONS_MAX
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as answer:
        assert '"LIMIT_EXCEEDED"' in answer.read().decode()
    weather.busy()
    with asked(weather, subject, "{ __typename }") as answer:
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)


def test_a_history_is_pruned(weather: Weather, subject: str) -> None:
    correlation_id = booked(weather, subject)
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        assert "SAGA_COMPLETED" in stream.read().decode()
    weather.prune(correlation_id)
    with asked(weather, subject, EVENTS, "text/event-stream", id=correlation_id) as stream:
        assert "HISTORY_PRUNED" in stream.read().decode()


def test_other_programs_command_the_weather_over_http(weather: Weather, subject: str) -> None:
    def command(name: str, **arguments: Any) -> httpx.Response:
        return httpx.post(f"{weather.control}/{name}", json=arguments)

    assert command("answer", status=502).json() == {"value": 0}
    assert status(weather, subject) == 502
    assert command("answered").json() == {"value": 1}
    assert command("calm").json() == {"value": None}
    assert status(weather, subject) == 200
    assert command("answer").status_code == 400
    assert command("_end").status_code == 400
