"""The way to Stripe over real sockets: what has left, what has not, and a pool that never dies."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import format_datetime

import pytest

from domain.clock import SECOND, to_datetime, wall_now
from domain.money import Money
from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentOrder, PaymentStatus, ensure_no_charge
from domain.payments.stripe import CONNECTIONS_SPARE, RETRY_AFTER_SECONDS_MAX, StripeGateway
from tests.support.waiting import eventually

PRICE = Money(123_45, "USD")
ORDER = PaymentOrder("0199", PRICE, "pm_card_visa")
OPENED = {"id": "pi_1", "object": "payment_intent", "status": "requires_confirmation"}
CAPTURED = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "latest_charge": {"id": "ch_1", "object": "charge", "refunded": False},
}


class Line:
    """A server on a raw socket. `answers`: one for each request, the last for all others; None: none, ever."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.resets = False
        #: Connections that are open.
        self.open = 0
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Line]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1_000)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await eventually(lambda: self.open == 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(_length(head))
                self.requests.append(head)
                if self.resets:
                    _reset(writer)
                    return
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if answer is None:
                    await reader.read()
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


def _length(head: bytes) -> int:
    lines = [line.split(b":", 1) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return int(lines[0][1]) if lines else 0


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def answer(status: int, body: object, **headers: str) -> bytes:
    """An answer as it goes over the line."""
    text = json.dumps(body)
    lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", f"Content-Length: {len(text)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


def error(status: int, kind: str, **headers: str) -> bytes:
    return answer(status, {"error": {"type": kind, "message": "No."}}, **headers)


@asynccontextmanager
async def gateway_to(
    line: Line, *, timeout_seconds: float = 5.0, calls_max: int = 64, counted: list[int] | None = None
) -> AsyncIterator[StripeGateway]:
    counts = [] if counted is None else counted
    gateway = StripeGateway(
        "sk_test_1",
        api_base=line.url,
        timeout_seconds=timeout_seconds,
        calls_max=calls_max,
        on_request=lambda: counts.append(1),
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


async def test_a_request_on_a_line_that_is_reset_may_have_had_its_effect() -> None:
    async with Line(None).listening() as line, gateway_to(line) as gateway:
        line.resets = True
        outcome = await gateway.capture("pi_1", PRICE, "key")
    assert isinstance(outcome, Unknown)
    assert len(line.requests) == 1


async def test_a_request_that_is_not_answered_in_time_may_have_had_its_effect() -> None:
    async with Line(None).listening() as line, gateway_to(line, timeout_seconds=0.2) as gateway:
        outcome = await gateway.capture("pi_1", PRICE, "key")
    assert isinstance(outcome, Unknown)


async def test_the_word_when_to_come_back_is_kept() -> None:
    async with Line(error(429, "rate_limit_error", Retry_After="7")).listening() as line, gateway_to(line) as gateway:
        outcome = await gateway.capture("pi_1", PRICE, "key")
    assert outcome == NotSent("PROVIDER_BUSY", "The provider limits the rate of requests.", 7.0)


@pytest.mark.parametrize("word", ["soon", "-3", "nan", "", "Wed, 21 Oct 99999999999999999999 07:28:00 GMT"])
async def test_a_word_that_makes_no_sense_is_no_time_to_wait(word: str) -> None:
    async with Line(error(429, "rate_limit_error", Retry_After=word)).listening() as line, gateway_to(line) as gateway:
        outcome = await gateway.read("pi_1")
    assert isinstance(outcome, NotSent)
    assert not outcome.after_seconds


@pytest.mark.parametrize("word", ["inf", "1e9"])
async def test_a_word_that_asks_for_ever_is_obeyed_for_a_while(word: str) -> None:
    async with Line(error(429, "rate_limit_error", Retry_After=word)).listening() as line, gateway_to(line) as gateway:
        outcome = await gateway.read("pi_1")
    assert isinstance(outcome, NotSent)
    assert outcome.after_seconds == RETRY_AFTER_SECONDS_MAX


@pytest.fixture
def in_new_york() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as here:
        here.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("zone", ["GMT", "-0000", ""])
@pytest.mark.usefixtures("in_new_york")
async def test_the_word_may_be_a_date(zone: str) -> None:
    date = format_datetime(to_datetime(wall_now() + 60 * SECOND), usegmt=True).replace("GMT", zone)
    async with Line(error(429, "rate_limit_error", Retry_After=date)).listening() as line, gateway_to(line) as gateway:
        outcome = await gateway.read("pi_1")
    assert isinstance(outcome, NotSent)
    assert outcome.after_seconds is not None
    assert 0 < outcome.after_seconds <= 60


async def test_a_look_after_a_rejection_that_is_turned_away_leaves_it_unknown() -> None:
    """The capture itself has left, so it is not "not sent", whatever becomes of the question what it did."""
    line = Line(error(400, "invalid_request_error"), error(429, "rate_limit_error"))
    async with line.listening(), gateway_to(line) as gateway:
        outcome = await gateway.capture("pi_1", PRICE, "key")
    assert isinstance(outcome, Unknown)
    assert outcome.code == "PROVIDER_BUSY"


async def test_an_undo_that_is_turned_away_is_asked_for_once() -> None:
    line = Line(answer(200, CAPTURED), error(429, "rate_limit_error", Retry_After="3"))
    async with line.listening(), gateway_to(line) as gateway:
        outcome = await ensure_no_charge(gateway, "pi_1", lambda operation: operation, known=PaymentStatus.CAPTURED)
    assert isinstance(outcome, NotSent)
    assert outcome.after_seconds == 3.0
    assert len(line.requests) == 2


async def test_each_request_is_told_of_once_also_those_that_a_call_makes_besides() -> None:
    counted: list[int] = []
    line = Line(error(400, "invalid_request_error"), answer(200, CAPTURED))
    async with line.listening(), gateway_to(line, counted=counted) as gateway:
        assert isinstance(await gateway.capture("pi_1", PRICE, "key"), Succeeded)
    assert len(counted) == len(line.requests) == 2


async def test_the_pool_works_after_hundreds_of_requests_were_given_up() -> None:
    """Far more than there are connections for, as no guard stands before them: most wait for one when they end."""
    async with Line(None).listening() as line, gateway_to(line, calls_max=4) as gateway:
        for turn in range(5):
            line.requests.clear()
            calls = [asyncio.create_task(gateway.open(ORDER, f"key-{turn}-{number}")) for number in range(100)]
            await eventually(lambda: bool(line.requests), 30.0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await eventually(lambda: line.open == 0)
        line.answers = (answer(200, OPENED),)
        outcomes = await asyncio.gather(*(gateway.open(ORDER, f"other-{number}") for number in range(4)))
    assert outcomes == [Succeeded("pi_1 opened", "pi_1")] * 4


async def test_a_pool_whose_places_never_come_free_is_replaced_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "seatsaga.payments")
    async with Line(None).listening() as line, gateway_to(line, calls_max=1) as gateway:
        stuck = [asyncio.create_task(gateway.open(ORDER, f"key-{number}")) for number in range(1 + CONNECTIONS_SPARE)]
        await eventually(lambda: len(line.requests) == len(stuck))
        line.answers = (answer(200, OPENED),)
        outcomes: list[Outcome] = await asyncio.gather(*(gateway.open(ORDER, f"other-{n}") for n in range(3)))
        assert outcomes == [Succeeded("pi_1 opened", "pi_1")] * 3
        assert [record.message for record in caplog.records] == [
            "No connection to the provider came free; the HTTP client is replaced."
        ]
        for call in stuck:
            call.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        # The old client closes with its last request.
        await eventually(lambda: line.open <= 3)


async def test_a_refusal_reads_as_one_and_not_as_trouble() -> None:
    line = Line(answer(402, {"error": {"type": "card_error", "code": "card_declined", "message": "No."}}))
    async with line.listening(), gateway_to(line) as gateway:
        outcome = await gateway.authorize("pi_1", ORDER, "key")
    assert outcome == Refused("PAYMENT_DECLINED", "The card was declined.")
