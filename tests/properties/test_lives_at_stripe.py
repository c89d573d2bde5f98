"""The random lives once more, with Stripe's gateway; the witness's books are the judge, to the cent."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from sqlalchemy.engine import URL

from domain.bookings import BookingStatus
from domain.payments.stripe import StripeGateway
from domain.storage import Database, Server
from sandbox import FaultKind
from tests.conftest import administer, as_text
from tests.domain.bookings.world import World, world_of
from tests.properties.test_lives import LIVES, PATIENCE_SECONDS, Answer, Deed, Life, News, Trouble, live, lives
from tests.witness import Merchant, Witness
from tests.witness.behaviour import What

TIMEOUT_SECONDS: Final = 0.5
#: What is done at the witness for what goes wrong at the sandbox: what, and whether after the effect.
FAULTS: Final[dict[FaultKind, tuple[What, bool]]] = {
    FaultKind.LATENCY: ("SLOW", False),
    FaultKind.SERVER_ERROR: ("ERROR", False),
    FaultKind.TIMEOUT_BEFORE_EFFECT: ("RESET", False),
    FaultKind.TIMEOUT_AFTER_EFFECT: ("PAGE", True),
    FaultKind.LATE_EFFECT: ("RESET", True),
}


@dataclass
class StripeLife(Life):
    """A life whose provider is `merchant`'s account at the witness."""

    merchant: Merchant | None = None

    @property
    def shop(self) -> Merchant:
        assert self.merchant is not None
        return self.merchant

    def a_world(self, database: Database, *, alone: bool = False) -> AbstractAsyncContextManager[World]:
        gateway = StripeGateway(self.shop.api_key, api_base=self.shop.witness.url, timeout_seconds=TIMEOUT_SECONDS)
        return world_of(database, self.folder, alone=alone, gateway=gateway)

    async def do(self, deed: Any) -> None:
        match deed:
            case Trouble(operation, kind, times):
                what, after_effect = FAULTS[kind]
                await self.shop.fault(operation, what, after_effect=after_effect, times=times, seconds=0.05)
            case _:
                await super().do(deed)

    async def answer(self, saga: Any, deed: Answer) -> None:
        if deed.is_patient:
            await self.now.engine.ended(saga.correlation_id, seconds=PATIENCE_SECONDS)
        for payment in (await self.shop.books()).all_of(saga.correlation_id):
            if deed.approves is not None:
                await self.shop.holder(payment.reference, approves=deed.approves)
            if deed.told is News.PROVIDER:
                await self.now.bookings.look_now(payment.reference)
        if deed.told is News.CUSTOMER:
            await self.now.bookings.confirm_card(saga.correlation_id, subject=None)

    async def hear_too_late(self) -> None:
        for payment in (await self.shop.books()).payments:
            await self.shop.holder(payment.reference, approves=True)

    async def judge(self, books: Path | Server | None) -> None:
        await super().judge(books)
        expected: dict[str, int] = {}
        for saga in self.begun:
            booking, payment = await self.now.booking(saga), await self.now.payment(saga)
            if booking is not None and booking.status is BookingStatus.CONFIRMED and payment is not None:
                expected[saga.correlation_id] = payment.amount.minor
        (await self.shop.books()).assert_kept(expected)


@settings(LIVES, max_examples=8)
@given(lives)
def test_whatever_happens_at_stripe_on_sqlite_everything_adds_up(
    witness: Witness, sqlite_template: Path, deeds: list[Deed]
) -> None:
    with tempfile.TemporaryDirectory(prefix="seatsaga-stripe-life-") as name:
        folder = Path(name)
        shutil.copy(sqlite_template, folder / "seatsaga.db")
        kind = partial(StripeLife, merchant=witness.merchant())
        asyncio.run(live(deeds, f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}", folder, None, kind))


@settings(LIVES, max_examples=5)
@given(lives)
def test_whatever_happens_at_stripe_on_postgresql_everything_adds_up(
    witness: Witness, postgres_url: URL, postgres_template: str, tmp_path: Path, deeds: list[Deed]
) -> None:
    name = f"stripe_life_{uuid.uuid4().hex}"
    asyncio.run(administer(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY'))
    url = postgres_url.set(database=name)
    try:
        kind = partial(StripeLife, merchant=witness.merchant())
        asyncio.run(live(deeds, as_text(url), tmp_path, None, kind))
    finally:
        asyncio.run(administer(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))
