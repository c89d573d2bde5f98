"""The customer of a booking that waits: lives longer than the server's processes, and remembers what was said.

A customer does one deed after the other, each once the booking asks for it. One whose process has died
waits until the next one has recovered. If the last deed was answered, it must then have been obeyed. Either way the
customer does it again, as somebody does whose page is loaded anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from domain.actors import Actor, ActorRole
from domain.bookings import CardConfirmationAwaited, NothingToPay, PaymentAwaited, TooLateToPay, awaited
from domain.bookings.definitions import STEP_BUDGET_SECONDS_MAX
from domain.bookings.steps.payment import LOOK_SECONDS_MAX
from domain.saga import SagaView
from tests.domain.bookings.world import HOLD_SECONDS
from tests.faults.stage import CUSTOMER, Stage

__all__ = ["Customer", "Deed", "comes_too_late", "has_answered", "holder_answers", "pays"]

#: After this much of a hold no card is taken any more: authorize and capture need their budgets.
PAYING_SECONDS: Final = HOLD_SECONDS - 2 * STEP_BUDGET_SECONDS_MAX
#: A look that was out when its process died is made again, a while later. How long each may take, by our own clock.
LOOKS_MAX: Final = 5
LOOK_SECONDS: Final = 2.0


class _Memory(msgspec.Struct):
    """How many deeds were begun and how many were answered, and how far the clock was moved on meanwhile."""

    begun: int = 0
    answered: int = 0
    seconds: float = 0.0


class Customer:
    """The customer of the saga with this correlation ID, who remembers in the file `memory`."""

    def __init__(self, stage: Stage, correlation_id: str, deeds: Sequence[Deed], memory: Path) -> None:
        self.stage = stage
        self.correlation_id = correlation_id
        self._deeds = deeds
        self._file = memory
        self._memory = msgspec.json.decode(memory.read_bytes(), type=_Memory) if memory.exists() else _Memory()

    async def before_anybody_serves(self) -> None:
        """The clock has moved on as far as it had; what can happen without our server may happen now."""
        self.stage.clock.advance(self._memory.seconds)
        for deed in self._next:
            view = await self.stage.engine.saga(self.correlation_id) if deed.meanwhile is not None else None
            if deed.meanwhile is not None and view is not None and deed.is_due(view):
                await deed.meanwhile(self)

    async def act(self) -> None:
        """Do what was being done once more, then all the rest."""
        memory = self._memory
        if memory.begun:
            if memory.answered == memory.begun:
                await self.stage.until(self.correlation_id, self._is_obeyed)
            await self.stage.rests(self.correlation_id)
            await self._do(self._deeds[memory.begun - 1])
        for deed in self._deeds[memory.begun :]:
            await self.stage.until(self.correlation_id, deed.is_due)
            memory.begun += 1
            self._write()
            await self._do(deed)

    @property
    def seconds(self) -> float:
        """How far the clock was moved on so far."""
        return self._memory.seconds

    def lets_pass(self, seconds: float) -> None:
        """Move the clock on, also for the processes to come."""
        self._memory.seconds += seconds
        self._write()
        # That it was set is said loudly, and here it is no complaint.
        logging.getLogger("seatsaga.clock").setLevel(logging.ERROR)
        self.stage.clock.advance(seconds)

    async def view(self) -> SagaView:
        """The saga as it stands."""
        return await self.stage.view(self.correlation_id)

    async def look(self) -> None:
        """Let the server look at the saga, as it does once a second."""
        self.stage.engine.runner.wake((await self.view()).id)

    # ------------------------------------------------------------------ within

    async def _do(self, deed: Deed) -> None:
        await deed.do(self)
        self._memory.answered = self._memory.begun
        self._write()

    @property
    def _next(self) -> Sequence[Deed]:
        """The deed that was not answered yet, if there is any."""
        return self._deeds[self._memory.answered : self._memory.answered + 1]

    def _is_obeyed(self, view: SagaView) -> bool:
        """Whether the last answered deed has led to where the next one is due. The last one leads to the saga's end."""
        return any(deed.is_due(view) for deed in self._next)

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(self._memory))
        new.replace(self._file)


@dataclass(frozen=True)
class Deed:
    """What a customer does once the booking `asks` for it, `after` the last try failed with this code.

    It may be done again, as long as no later one was begun. `meanwhile` is done where no process serves.
    """

    do: Callable[[Customer], Awaitable[None]]
    asks: type[PaymentAwaited | CardConfirmationAwaited]
    after: str | None = None
    meanwhile: Callable[[Customer], Awaitable[None]] | None = None

    def is_due(self, view: SagaView) -> bool:
        """Whether the saga asks for it now."""
        asked = awaited(view)
        if not isinstance(asked, self.asks):
            return False
        return (asked.last_failure.code if asked.last_failure is not None else None) == self.after


async def _pay(customer: Customer, token: str) -> object:
    by = Actor(ActorRole.CUSTOMER, CUSTOMER)
    return await customer.stage.bookings.pay_for_hold(customer.correlation_id, token, subject=CUSTOMER, by=by)


def pays(token: str, *, after: str | None = None) -> Deed:
    """Pays with this card. Said again, it is answered as the first time."""

    async def do(customer: Customer) -> None:
        answer = await _pay(customer, token)
        assert isinstance(answer, SagaView), answer

    return Deed(do, PaymentAwaited, after)


def comes_too_late(token: str, *, after: str | None = None) -> Deed:
    """Pays with this card once the time to pay has passed."""

    async def do(customer: Customer) -> None:
        customer.lets_pass(max(0, PAYING_SECONDS + 1 - customer.seconds))
        answer = await _pay(customer, token)
        assert isinstance(answer, TooLateToPay), answer
        await customer.look()

    return Deed(do, PaymentAwaited, after)


async def _hear(customer: Customer, approves: bool) -> None:
    asked = awaited(await customer.view())
    if isinstance(asked, CardConfirmationAwaited):
        await customer.stage.provider.holder_answers(asked.confirmation, approves=approves)


def holder_answers(*, approves: bool) -> Deed:
    """The card's holder answers the bank, and comes back to tell us so."""

    async def do(customer: Customer) -> None:
        await _hear(customer, approves)
        answer = await customer.stage.bookings.confirm_card(customer.correlation_id, subject=CUSTOMER)
        # Where it was said before, nobody waits for it any more.
        assert isinstance(answer, SagaView | NothingToPay), answer

    return Deed(do, CardConfirmationAwaited)


def has_answered(*, approves: bool) -> Deed:
    """The card's holder answers the bank and never comes back: we look by ourselves."""

    async def meanwhile(customer: Customer) -> None:
        await _hear(customer, approves)

    async def do(customer: Customer) -> None:
        await meanwhile(customer)
        for _ in range(LOOKS_MAX):
            customer.lets_pass(LOOK_SECONDS_MAX)
            await customer.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await customer.stage.until(customer.correlation_id, lambda view: view.awaiting is None)
                    return
        raise AssertionError(f"looked {LOOKS_MAX} times, and still {await customer.view()}")

    return Deed(do, CardConfirmationAwaited, meanwhile=meanwhile)
