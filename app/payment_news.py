"""News of payments that no saga waits for: read from the provider one after another, behind its guard.

::

    event ──▶ a saga waits for it: it looks                     (its own call, with a place of its own)
          └─▶ none does ──▶ set aside, once a payment ──▶ read, while the guard has a place and nobody stands in line

A provider may tell of hundreds of payments at once (disputes, refunds in its dashboard), also while it is slow, limits
us or is paused. No customer waits for these reads, so they are one call to the guard, and come after all others. What
could not be read is read later. What is set aside is lost with the process: the job `reconcile-payments` finds it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import Final

from domain.bookings import Bookings
from domain.gate import Entry, Lane, caller
from domain.guard import Guard
from domain.loops import Loop
from domain.outcome import NotSent, Outcome, Succeeded
from domain.payments import PaymentGateway, PaymentStatus, note
from domain.storage import Database, is_unavailable, trouble_of
from domain.telemetry import Telemetry

__all__ = ["PaymentNews"]

#: News beyond it is dropped, the oldest first.
SET_ASIDE_MAX: Final = 10_000
#: How long it waits for a place at the guard.
WAIT_SECONDS: Final = 0.5
#: How long it waits after a read that failed: so long at first, and twice as long after each other one.
RETRY_SECONDS_MIN: Final = 1.0
RETRY_SECONDS_MAX: Final = 60.0
#: A payment that is answered with an error this often is given up. So few failures alone do not open the breaker.
ANSWERS_MAX: Final = 3
IDLE_SECONDS: Final = 60.0
_PLACE: Final = "payment-news"
_logger = logging.getLogger("seatsaga.payments")


@dataclass(slots=True)
class _News:
    """What was said of a payment. `number` tells news that came while an older one was followed."""

    says: PaymentStatus | None
    number: int
    answers: int = 0


class PaymentNews:
    """Follows hints from `start` to `stop`."""

    def __init__(
        self, database: Database, gateway: PaymentGateway, guard: Guard, bookings: Bookings, *, telemetry: Telemetry
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._guard = guard
        self._bookings = bookings
        self._telemetry = telemetry
        self._aside: OrderedDict[str, _News] = OrderedDict()
        self._numbers = count()
        self._failures = 0
        self._bell = asyncio.Event()
        self._loop = Loop(
            "payment-news",
            self._turn,
            pause_seconds=self._pause_seconds,
            on_fault=_tell,
            retry_seconds=RETRY_SECONDS_MIN,
            bell=self._bell,
        )

    def start(self) -> None:
        """Follow what is heard."""
        self._loop.start()

    async def stop(self) -> None:
        """Follow nothing more."""
        await self._loop.stop()

    async def hear(self, reference: str, says: PaymentStatus | None = None) -> None:
        """There may be news of the payment with `reference` at the provider: it `says` so.

        A hint: it may come twice, late or never, so the saga that waits for it looks by itself too. What no saga waits
        for (a dispute, a refund in the provider's dashboard) is noted on the payment, once it could be read.
        """
        try:
            payment = await self._bookings.look_now(reference, says)
        except Exception as error:
            if not is_unavailable(error):
                raise
            _logger.warning(
                "The news of payment %s is lost; its saga looks by itself: %s", reference, trouble_of(error)
            )
            return
        if payment is not None and payment.status.is_taken:
            self._set_aside(reference, says)

    def _set_aside(self, reference: str, says: PaymentStatus | None) -> None:
        before = self._aside.get(reference)
        # Of two hints that differ neither may be the newer one.
        said = says if before is None or before.says is says else None
        self._aside[reference] = _News(said, next(self._numbers))
        if len(self._aside) > SET_ASIDE_MAX:
            self._aside.popitem(last=False)
        if not self._failures:
            self._bell.set()

    def _pause_seconds(self) -> float:
        if not self._aside:
            return IDLE_SECONDS
        if not self._failures:
            return WAIT_SECONDS
        return min(RETRY_SECONDS_MAX, RETRY_SECONDS_MIN * 2.0 ** min(self._failures - 1, 30))

    async def _turn(self) -> None:
        while self._aside and self._guard.unavailable_seconds is None and await self._follow_next():
            pass

    async def _follow_next(self) -> bool:
        """Follow the oldest news; returns whether to go on at once."""
        reference, news = next(iter(self._aside.items()))
        payment = await self._bookings.look_now(reference, news.says)
        if payment is None:
            self._forget(reference, news)
            return True
        if self._guard.enter(_PLACE, Lane.BEGIN) is not Entry.PERMIT:
            # In line it would get its place before customers who come later.
            self._guard.leave(_PLACE, None)
            return False
        found = await self._read(reference)
        if not isinstance(found, Succeeded):
            self._put_off(reference, news, found)
            return False
        self._failures = 0
        changed = await note(self._database, payment, found.data)
        if changed is not None:
            self._telemetry.emit(changed)
        self._forget(reference, news)
        return True

    async def _read(self, reference: str) -> Outcome:
        outcome: Outcome | None = None
        token = caller.set(_PLACE)
        try:
            outcome = await self._gateway.read(reference)
            return outcome
        finally:
            caller.reset(token)
            self._guard.leave(_PLACE, outcome)

    def _put_off(self, reference: str, news: _News, found: Outcome) -> None:
        self._failures += 1
        news.answers += not isinstance(found, NotSent)
        if news.answers >= ANSWERS_MAX:
            _logger.warning("The news of payment %s is given up: the provider does not show it.", reference)
            self._forget(reference, news)
        elif reference in self._aside:
            self._aside.move_to_end(reference)

    def _forget(self, reference: str, news: _News) -> None:
        """It is done, unless other news of the payment has come meanwhile."""
        now = self._aside.get(reference)
        if now is not None and now.number == news.number:
            del self._aside[reference]


def _tell(error: Exception) -> None:
    trouble = trouble_of(error)
    if trouble is None:
        _logger.error("The news of a payment could not be followed; the next is.", exc_info=error)
    else:
        _logger.warning("The news of payments waits for the database: %s.", trouble)
