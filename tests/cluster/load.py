"""A steady load: buyers of every kind, who ask again until they are answered, and a witness of every saga.

What is asked for is drawn from a seed; when it happens, and to whom, is the faults' matter.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from seatsaga_client import ApiError

from app.client import Client
from tests.support.sequences import EARN, REDEEM, steps_of
from tests.support.waiting import eventually

__all__ = ["HELD", "KINDS", "Kind", "Load", "Order"]

BUYERS: Final = 3
ORDERS_MIN: Final = 60
PAUSE_SECONDS_MAX: Final = 0.25
ANSWER_SECONDS_MAX: Final = 3.0
AGAIN_SECONDS: Final = 0.1
#: Once the fault is over nobody asks the same for longer, whatever is answered.
ANSWERED_SECONDS_MAX: Final = 30.0
#: What a client may ask again: the server had a fault, or no room.
_PASSING: Final = frozenset({"INTERNAL", "LIMIT_EXCEEDED", "UNAVAILABLE"})
_TERMINAL: Final = frozenset({"SAGA_COMPLETED", "SAGA_COMPENSATED", "SAGA_ABANDONED"})
_FLIGHTS: Final = "{ flights(first: 10) { edges { node { id } } } }"
_BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
_CANCEL: Final = """mutation($input: CancelSagaInput!) { cancelSaga(input: $input) {
  errors { __typename ... on UserError { message } } } }"""
_PAY: Final = """mutation($input: PayForHoldInput!) { payForHold(input: $input) {
  errors { __typename ... on UserError { message } } } }"""
_STATUS: Final = "query($id: UUID!) { saga(correlationId: $id) { status } }"


@dataclass(frozen=True)
class Kind:
    """One way in which a booking may go."""

    name: str
    redeems: bool = False
    simulate: dict[str, Any] = field(default_factory=dict)
    token: str = "pm_card_visa"
    cancels: bool = False
    may_complete: bool = True
    gets_stuck: bool = False
    pays_later: bool = False


def _kinds() -> tuple[Kind, ...]:
    kinds: list[Kind] = []
    for redeems, definition in ((False, EARN), (True, REDEEM)):
        way = "redeem" if redeems else "earn"
        kinds += [Kind(f"{way} {number}", redeems) for number in range(6)]
        kinds += [
            Kind(f"{way}, {step} fails", redeems, {"failAt": [step]}, may_complete=False)
            for step in steps_of(definition)
        ]
        kinds += [
            Kind(f"{way}, {step} loses its answer", redeems, {"loseAnswerAt": [step]})
            for step in (each.name for each in definition.steps if each.is_remote)
        ]
        kinds += [Kind(f"{way}, cancelled {number}", redeems, cancels=True) for number in range(2)]
        kinds.append(Kind(f"{way}, declined", redeems, token="pm_card_chargeDeclined", may_complete=False))
    stuck = {"failAt": ["CONFIRM_BOOKING"], "failCompensationAt": ["CANCEL_SEAT"]}
    kinds.append(Kind("earn, CANCEL_SEAT fails", simulate=stuck, may_complete=False, gets_stuck=True))
    return tuple(kinds)


KINDS: Final = _kinds()
#: Is no part of the steady load: a scenario says when, and where, it is booked and paid.
HELD: Final = Kind("earn, paid later", pays_later=True)


@dataclass
class Order:
    """One booking that was asked for, and what its witness saw last."""

    kind: Kind
    correlation_id: str
    witness: int
    seen: int = 0
    last: str = ""
    is_over: bool = False

    def __str__(self) -> str:
        return f"{self.kind.name}, {self.correlation_id}, seen by replica {self.witness + 1} up to {self.seen}"


class Load:
    """Books through the proxy at `url`, with a witness of each saga on one of the replicas at `urls`."""

    def __init__(self, url: str, urls: Sequence[str], seed: str) -> None:
        self._url = url
        self._urls = urls
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._turns: Sequence[Kind] = ()
        self._flights: list[str] = []
        self._stopping = asyncio.Event()
        self._stopping_since = 0.0
        self._witnesses: list[asyncio.Task[None]] = []
        self.seed = seed
        self.orders: list[Order] = []

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """Bookings while the block lasts, and until each kind had its turn."""
        async with self._client(self._url) as http:
            found = await self._ask(http, _FLIGHTS, {})
            self._flights = [edge["node"]["id"] for edge in found["flights"]["edges"]]
            async with asyncio.TaskGroup() as buyers:
                for _ in range(BUYERS):
                    buyers.create_task(self._buy(http))
                yield
                self._stopping_since = time.monotonic()
                self._stopping.set()

    @property
    def waiting(self) -> list[Order]:
        """Those whose witness has not seen the end."""
        return [order for order in self.orders if not order.is_over]

    async def ended(self) -> None:
        """Return once every witness has seen the end of its saga; raises what went wrong for any."""
        await asyncio.gather(*self._witnesses)

    async def hold(self, url: str) -> Order:
        """Hold seats at the replica at `url`; returns once the saga waits for its card."""
        order = self._order(HELD)
        async with self._client(url) as http:

            async def waits() -> bool:
                found = await self._ask(http, _STATUS, {"id": order.correlation_id})
                return bool(found["saga"]["status"] == "WAITING")

            await self._book(http, order)
            await eventually(waits)
        return order

    async def pay(self, order: Order, url: str) -> None:
        """Say the card of a hold at the replica at `url`."""
        wish = {"correlationId": order.correlation_id, "payment": {"token": order.kind.token}}
        async with self._client(url) as http:
            answer = (await self._ask(http, _PAY, {"input": wish}))["payForHold"]
        assert answer["errors"] == [], (order, answer)

    # ------------------------------------------------------------------ a buyer

    async def _buy(self, http: httpx.AsyncClient) -> None:
        while not (self._stopping.is_set() and len(self.orders) >= max(ORDERS_MIN, len(KINDS))):
            number = next(self._numbers)
            if number % len(KINDS) == 0:
                self._turns = self._random.sample(KINDS, len(KINDS))
            kind = self._turns[number % len(KINDS)]
            if kind.gets_stuck and number >= len(KINDS):
                # It takes its time to give up: those of the first turn are over when the load ends.
                continue
            order, pause = self._order(kind), self._random.uniform(0, PAUSE_SECONDS_MAX)
            await self._book(http, order)
            await asyncio.sleep(pause)
            if kind.cancels:
                await self._ask(http, _CANCEL, {"input": {"correlationId": order.correlation_id}})

    def _order(self, kind: Kind) -> Order:
        """A new order, and its witness."""
        correlation_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        order = Order(kind, correlation_id, len(self.orders) % len(self._urls))
        self.orders.append(order)
        self._witnesses.append(asyncio.create_task(self._witness(order)))
        return order

    async def _book(self, http: httpx.AsyncClient, order: Order) -> None:
        answer = (await self._ask(http, _BOOK, {"input": self._wish(order)}))["bookFlight"]
        assert answer["errors"] == [], (order, answer)
        assert answer["saga"]["correlationId"] == order.correlation_id, (order, answer)

    def _client(self, url: str) -> httpx.AsyncClient:
        # A new connection for each question: else those that were once moved to another replica would stay there.
        alone = httpx.Limits(max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX, limits=alone)

    def _wish(self, order: Order) -> dict[str, Any]:
        draw, kind = self._random, order.kind
        loyalty = {"memberNumber": f"SS{draw.randint(1, 100):07d}"}
        return {
            "correlationId": order.correlation_id,
            "segments": [{"flightId": draw.choice(self._flights)}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}] * draw.randint(1, 2),
            "loyalty": loyalty | ({"pointsToRedeem": 1_000} if kind.redeems else {}),
            **({"payLater": True} if kind.pays_later else {"payment": {"token": kind.token}}),
            # Long enough to be met by a fault.
            "simulate": kind.simulate | {"delayMs": draw.choice((0, 100, 400))},
        }

    async def _ask(self, http: httpx.AsyncClient, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The answer's data; the same question is asked again after every fault that may pass."""
        began, answer = time.monotonic(), ""
        while not self._takes_too_long(began):
            try:
                response = await http.post("/graphql", json={"query": document, "variables": variables})
                answer = response.text
                body = response.json()
            except (httpx.TransportError, ValueError) as error:
                answer = repr(error)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            codes = {error.get("extensions", {}).get("code") for error in body.get("errors", ())}
            if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR and not codes & _PASSING:
                assert "errors" not in body, body
                data: dict[str, Any] = body["data"]
                return data
            await asyncio.sleep(AGAIN_SECONDS)
        raise AssertionError(f"not answered for {ANSWERED_SECONDS_MAX:g} s: {variables}; answered was {answer}")

    def _takes_too_long(self, began: float) -> bool:
        since = max(began, self._stopping_since)
        return self._stopping.is_set() and time.monotonic() - since > ANSWERED_SECONDS_MAX

    # ------------------------------------------------------------------ a witness

    async def _witness(self, order: Order) -> None:
        """Follow the saga on one replica, coming back after every fault, to its end; or until it is stuck."""
        async with Client(self._urls[order.witness]) as client:
            while True:
                try:
                    async for event in client.follow(order.correlation_id, after=order.seen):
                        assert event["sequence"] == order.seen + 1, (order, event)
                        order.seen, order.last = event["sequence"], event["type"]
                        if order.last in _TERMINAL or order.last == "SAGA_STUCK":
                            order.is_over = True
                            return
                except ApiError:
                    await asyncio.sleep(AGAIN_SECONDS)
