"""The whole application before a provider that is limited, slow, away or paused: Stripe's gateway at the witness."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.bootstrap import Backend
from app.settings import load_settings
from domain import flights
from domain.bookings import BookFlight, PaymentsUnavailable, SegmentWish
from domain.guard import BreakerState
from domain.saga import SagaStatus, SagaView
from tests.app.whole import fill
from tests.domain.bookings.world import JOHN
from tests.support.asking import operator
from tests.support.waiting import eventually
from tests.witness import Merchant, Witness

SECONDS_MAX = 60.0
#: Of the calls, while the limit is learned on a busy machine; without learning it was 0.155.
REFUSED_SHARE_MAX = 0.12


@dataclass
class Shop:
    """An airline in service, and its account at the witness."""

    backend: Backend
    merchant: Merchant
    flight_id: int

    def wish(self, **changes: Any) -> BookFlight:
        wish = BookFlight(
            "someone", [SegmentWish(self.flight_id)], [JOHN], str(uuid.uuid4()), payment_token="pm_card_visa"
        )
        return replace(wish, **changes)

    async def book(self, number: int) -> list[SagaView]:
        found = await asyncio.gather(*(self.backend.bookings.book(self.wish()) for _ in range(number)))
        begun = [saga for saga in found if isinstance(saga, SagaView)]
        assert len(begun) == number, found
        return begun

    async def statuses(self, sagas: list[SagaView]) -> list[SagaStatus]:
        found = [await self.backend.engine.saga(saga.correlation_id) for saga in sagas]
        return [saga.status for saga in found if saga is not None]

    async def all_booked(self, sagas: list[SagaView]) -> bool:
        return set(await self.statuses(sagas)) == {SagaStatus.COMPLETED}

    @property
    def state(self) -> BreakerState:
        return self.backend.guard.standing.state


@asynccontextmanager
async def shop(url: str, folder: Path, witness: Witness, **settings: Any) -> AsyncIterator[Shop]:
    merchant = witness.merchant()
    await fill(url)
    given: dict[str, Any] = {
        "database_url": url,
        "log_dir": folder / "logs",
        "admin_token": "a token for operators",
        "payments": "stripe",
        "stripe_api_key": merchant.api_key,
        "stripe_api_base": witness.url,
    }
    backend = Backend(load_settings({}, **given, **settings), console=io.StringIO())
    async with backend.running():
        async with backend.database.reading() as connection:
            page = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=1)
        yield Shop(backend, merchant, page[0].id)


async def test_no_more_calls_are_under_way_than_are_set_and_all_are_booked(database_url: str, tmp_path: Path) -> None:
    async with Witness.running() as witness, shop(database_url, tmp_path, witness, provider_calls_max=4) as airline:
        await airline.merchant.set(answer_seconds=0.05)
        sagas = await airline.book(20)
        await eventually(lambda: airline.all_booked(sagas), SECONDS_MAX)
        books = await airline.merchant.books()
        assert 1 <= books.calls.at_once_max <= 4
        assert airline.backend.guard.standing.places == 0


async def test_a_limit_that_is_not_known_is_learned_and_all_are_booked(database_url: str, tmp_path: Path) -> None:
    async with Witness.running() as witness, shop(database_url, tmp_path, witness) as airline:
        await airline.merchant.set(requests_per_second=25)
        sagas = await airline.book(80)
        await eventually(lambda: airline.all_booked(sagas), SECONDS_MAX)
        # tests/domain/guard shows that it can be fewer: here it depends on how busy the machine is.
        assert airline.backend.guard.standing.per_second is not None
        calls = (await airline.merchant.books()).calls
        assert 0 < calls.rate_limited < calls.total * REFUSED_SHARE_MAX


async def test_a_provider_that_is_away_loses_no_booking_and_refuses_new_ones_that_must_pay_now(
    database_url: str, tmp_path: Path
) -> None:
    async with Witness.running() as witness, shop(database_url, tmp_path, witness) as airline:
        async with witness.away():
            sagas = await airline.book(20)
            await eventually(lambda: airline.state is BreakerState.OPEN)
            refused = await airline.backend.bookings.book(airline.wish())
            assert isinstance(refused, tuple)
            assert [type(refusal) for refusal in refused] == [PaymentsUnavailable]
            held = await airline.backend.bookings.book(airline.wish(payment_token=None, pay_later=True))
            assert isinstance(held, SagaView)
            report = await airline.backend.readiness.examine()
            assert report.is_ready
            assert "PROVIDER_UNREACHABLE" in (report.warnings["payments"] or "")
        await eventually(lambda: airline.all_booked(sagas), SECONDS_MAX)
        assert await airline.statuses([held]) == [SagaStatus.WAITING]
        await eventually(lambda: airline.state is BreakerState.CLOSED or airline.state is BreakerState.HALF_OPEN)


async def test_nothing_is_sent_while_an_operator_has_paused_it_and_all_afterwards(
    database_url: str, tmp_path: Path
) -> None:
    async with Witness.running() as witness, shop(database_url, tmp_path, witness) as airline:
        # A slow answer: the bookings have begun before the pause, and their calls come after it.
        await airline.merchant.set(answer_seconds=0.3)
        sagas = await airline.book(10)
        await airline.backend.guard_watch.pause(operator("ada", "Their status page says so."))
        await eventually(lambda: airline.backend.guard.standing.places == 0)
        known = (await airline.merchant.books()).calls.total
        await eventually(lambda: sum(airline.backend.guard.standing.waiting.values()) == 10)
        assert (await airline.merchant.books()).calls.total == known
        await airline.backend.guard_watch.resume(operator("ada", "They are back."))
        await eventually(lambda: airline.all_booked(sagas), SECONDS_MAX)
