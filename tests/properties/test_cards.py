"""Any mix of cards, their holders' answers, losses, crashes and late words: what is charged is booked, and once.

Two bookings want the same seat, so that the second gets it only if the first gives it back. The provider's books are
the judge: they are looked at after each deed, and in the end.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from domain.bookings import SegmentWish
from domain.payments import ProviderState
from domain.saga import SagaStatus, SagaView
from domain.storage import Server
from sandbox import FaultKind
from tests.conftest import administer, as_text
from tests.domain.bookings.world import HOLD_SECONDS, JOHN
from tests.properties.test_lives import LIVES, Answer, CancelSaga, Crash, Life, News, Pay, Trouble, Wait, cards, live
from tests.support.waiting import eventually

SEAT: Final = "12C"
CHARGED: Final = (ProviderState.AUTHORIZED, ProviderState.CAPTURED)
RESTS: Final = (SagaStatus.WAITING, SagaStatus.STUCK, SagaStatus.COMPLETED, SagaStatus.COMPENSATED)


@dataclass(frozen=True)
class Hold:
    """Somebody holds the seat; the card comes now, or later."""

    card: str | None


@dataclass(frozen=True)
class Rest:
    """Every saga waits for its customer, or is over."""


@dataclass(frozen=True)
class LapsedLease:
    """The process stands still for longer than its lease, another one takes over, and the first one is gone."""


CardDeed = Hold | Rest | LapsedLease | Pay | Answer | Trouble | CancelSaga | Wait | Crash


def tried(
    which: int, card: str, lost: FaultKind | None, gone: Crash | LapsedLease | None, answers: list[Answer]
) -> list[CardDeed]:
    """A card is tried once there is rest; something may be lost, the process may be gone, its holder may answer."""
    deeds: list[CardDeed] = [Rest()]
    if lost is not None:
        deeds.append(Trouble("authorize", lost, 1))
    deeds.append(Pay(which, card))
    if gone is not None:
        deeds.append(gone)
    if answers:
        deeds.append(Rest())
    return [*deeds, *answers]


which = st.integers(0, 1)
gone = st.sampled_from([Crash(), LapsedLease()])
answers = st.builds(Answer, which, approves=st.booleans(), told=st.sampled_from(News))
tries = st.builds(
    tried, which, cards, st.none() | st.sampled_from(list(FaultKind)), st.none() | gone, st.lists(answers, max_size=2)
)
others = st.one_of(
    st.builds(Trouble, st.sampled_from(["read", "void", "capture"]), st.sampled_from(list(FaultKind)), st.just(1)),
    st.builds(Wait, st.sampled_from([1.0, 70.0, HOLD_SECONDS / 2, HOLD_SECONDS + 1.0])),
    st.builds(CancelSaga, which),
    gone,
).map(lambda deed: [deed])
some = st.lists(tries | tries | others, max_size=3)
hold = st.builds(Hold, st.none() | cards).map(lambda deed: [deed])
card_lives = st.tuples(hold, some, hold, some).map(
    lambda parts: [*parts[0], *itertools.chain(*parts[1]), *parts[2], *itertools.chain(*parts[3])]
)


@dataclass
class CardLife(Life):
    """A life about one seat and the cards that are to pay for it."""

    references: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of each saga's payments, by the saga's ID."""

    async def do(self, deed: Any) -> None:
        match deed:
            case Hold(card):
                await self._hold(card)
            case Rest():
                await eventually(self._rests, 60)
            case LapsedLease():
                await self.crash(alone=False)
            case _:
                await super().do(deed)
        await self._judge()

    async def _hold(self, card: str | None) -> None:
        request = self.now.request(
            correlation_id=str(uuid.uuid4()),
            segments=[SegmentWish(self.now.flight_ids[0], seats=[SEAT])],
            passengers=[JOHN],
            payment_token=card,
            pay_later=card is None,
        )
        answer = await self.now.bookings.book(request)
        assert isinstance(answer, SagaView), answer
        self.begun.append(answer)

    async def _rests(self) -> bool:
        self.clock.advance(0.3)
        return all([(await self.now.view(saga)).status in RESTS for saga in self.begun])

    async def _judge(self) -> None:
        """At most one authorization of a saga stands at the provider, and at most one saga has the seat."""
        for saga in self.begun:
            payment = await self.now.payment(saga)
            if payment is not None and payment.reference is not None:
                self.references[saga.id].add(payment.reference)
        entries = await self.now.gateway.books.entries()
        charged = {reference for reference, entry in entries.items() if entry.state in CHARGED}
        assert all(len(charged & own) <= 1 for own in self.references.values())
        seats = [seat for saga in self.begun for seat in await self.now.reservations(saga)]
        having = [seat for seat in seats if seat.status.is_live]
        assert len(having) <= 1

    async def end(self) -> None:
        await super().end()
        await self._judge()
        entries = await self.now.gateway.books.entries()
        for saga in self.begun:
            booked = await self.now.booking(saga) is not None
            own = [entries[reference] for reference in self.references[saga.id] if reference in entries]
            assert [entry.state for entry in own].count(ProviderState.CAPTURED) == booked, own
            for entry in own:
                assert entry.state not in (ProviderState.AUTHORIZED, ProviderState.NEEDS_HOLDER)
                # At a real provider the bearer of a secret may pay with it as long as the payment is open.
                assert booked or not entry.secret or entry.state is ProviderState.VOIDED


@settings(LIVES, max_examples=50)
@given(card_lives)
def test_what_is_charged_is_booked_and_once_on_sqlite(sqlite_template: Path, deeds: list[CardDeed]) -> None:
    with tempfile.TemporaryDirectory(prefix="seatsaga-cards-") as name:
        folder = Path(name)
        shutil.copy(sqlite_template, folder / "seatsaga.db")
        url = f"sqlite+aiosqlite:///{folder / 'seatsaga.db'}"
        asyncio.run(live(deeds, url, folder, folder / "sandbox.db", CardLife))


@settings(LIVES, max_examples=20)
@given(card_lives)
def test_what_is_charged_is_booked_and_once_on_postgresql(
    postgres_url: URL, postgres_template: str, tmp_path: Path, deeds: list[CardDeed]
) -> None:
    name = f"cards_{uuid.uuid4().hex}"
    asyncio.run(administer(postgres_url, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}" STRATEGY FILE_COPY'))
    url = postgres_url.set(database=name)
    try:
        asyncio.run(live(deeds, as_text(url), tmp_path, Server(url), CardLife))
    finally:
        asyncio.run(administer(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)'))
