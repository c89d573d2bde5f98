"""The sandbox as a payment gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import compare_digest
from typing import Final

from domain.clock import wall_now
from domain.loops import rings
from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import NeedsHolder, PaymentOrder, ProviderPayment, ProviderState
from sandbox.books import Books, Entry
from sandbox.faults import Fault, FaultKind, Faults
from sandbox.ledger import NEEDS_HOLDER, REFUND_PENDING, Answer, Request, hashed, new_secret, reference_in

__all__ = ["HOLDER_PATH", "Asked", "SandboxGateway"]

#: The path of the page on which a card's holder answers, before the secret.
HOLDER_PATH: Final = "/sandbox/confirm/"

_TIMEOUT = Unknown("TIMEOUT", "The provider did not answer in time.")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the holder of a card is asked, and what came of it."""

    amount: Money
    payment: ProviderPayment


class SandboxGateway:
    """Answers from `books`, with the injected `faults`. `on_request` is called with each request."""

    name = "sandbox"
    takes_our_reference = True

    def __init__(
        self, books: Books, *, now: Callable[[], int] = wall_now, on_request: Callable[[], None] = lambda: None
    ) -> None:
        self.books = books
        self._now = now
        self._on_request = on_request
        self.faults = Faults()
        self._late: set[asyncio.Task[Answer]] = set()
        self._closing = asyncio.Event()

    async def start(self) -> None:
        await self.books.open()

    async def close(self) -> None:
        """Let late effects take place now, then close the books."""
        self._closing.set()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self.books.close()

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        return Refused("NOT_NEEDED", "The sandbox takes our reference.")

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        amount = order.amount
        request = Request(
            *("authorize", reference, key, amount.minor, amount.currency, order.token),
            secret=new_secret(reference),
            correlation_id=order.correlation_id,
        )
        return await self._do(request)

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return await self._do(Request("capture", reference, key, amount.minor, amount.currency))

    async def void(self, reference: str, key: str) -> Outcome:
        return await self._do(Request("void", reference, key))

    async def refund(self, reference: str, key: str) -> Outcome:
        return await self._do(Request("refund", reference, key, at=self._now()))

    async def read(self, reference: str) -> Outcome:
        self._on_request()
        fault = self.faults.take("read", reference)
        if fault is not None and fault.kind is not FaultKind.LATENCY:
            return _TIMEOUT
        if fault is not None:
            await asyncio.sleep(fault.seconds)
        entry, at = await self._entry(reference), self._now()
        if entry is not None and entry.is_due(at):
            # Its key is that of one refund, so it ends once, whoever reads it.
            await self.books.answer(Request("finish", reference, f"finish:{reference}:{entry.refund_ends_at}", at=at))
            entry = await self._entry(reference)
        return Succeeded(data=_payment(reference, entry))

    # ------------------------------------------------------------------ the card's holder

    async def asked(self, secret: str) -> Asked | None:
        """The question for the bearer of `secret`, also once it is answered; None if it is nobody's."""
        reference = reference_in(secret)
        entry = await self._entry(reference) if reference else None
        if entry is None or not compare_digest(entry.secret, secret):
            return None
        return Asked(Money(entry.amount, entry.currency), _payment(entry.reference, entry))

    async def hear(self, secret: str, *, approves: bool) -> Asked | None:
        """The holder's answer: the first one counts. Returns the question as it now stands; None as `asked`."""
        asked = await self.asked(secret)
        if asked is None or asked.payment.state is not ProviderState.NEEDS_HOLDER:
            return asked
        operation = "approve" if approves else "refuse"
        key = f"holder:{hashed(secret)}"
        await self.books.answer(Request(operation, asked.payment.reference, key, secret=secret))
        return await self.asked(secret)

    # ------------------------------------------------------------------ requests

    async def _entry(self, reference: str) -> Entry | None:
        return (await self.books.entries([reference])).get(reference)

    async def _do(self, request: Request) -> Outcome:
        self._on_request()
        fault = self.faults.take(request.operation, request.reference)
        if fault is None:
            return await self._request(request)
        return await self._fail(request, fault)

    async def _request(self, request: Request) -> Outcome:
        answer = await self.books.answer(request)
        match answer.code:
            case "OK":
                return Succeeded(answer.message, ProviderState.REFUNDED if request.operation == "refund" else None)
            case code if code == REFUND_PENDING:
                return Succeeded(answer.message, ProviderState.REFUND_PENDING)
            case "PROVIDER_ERROR":
                return Unknown(answer.code, answer.message)
            case code if code == NEEDS_HOLDER:
                # The books keep the answer without the secret, and the holder may have answered since.
                return _payment(request.reference, await self._entry(request.reference)).as_authorization()
            case _:
                return Refused(answer.code, answer.message)

    async def _fail(self, request: Request, fault: Fault) -> Outcome:
        match fault.kind:
            case FaultKind.LATENCY:
                await asyncio.sleep(fault.seconds)
                return await self._request(request)
            case FaultKind.SERVER_ERROR:
                return await self._request(replace(request, fails=True))
            case FaultKind.TIMEOUT_BEFORE_EFFECT:
                return _TIMEOUT
            case FaultKind.TIMEOUT_AFTER_EFFECT:
                await self.books.answer(request)
                return _TIMEOUT
            case FaultKind.LATE_EFFECT:
                task = asyncio.create_task(self._later(request, fault.seconds))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
                return _TIMEOUT

    async def _later(self, request: Request, seconds: float) -> Answer:
        await rings(self._closing, seconds)
        return await self.books.answer(request)


def _payment(reference: str, entry: Entry | None) -> ProviderPayment:
    if entry is None:
        return ProviderPayment(reference, ProviderState.ABSENT)
    holder = NeedsHolder(url=HOLDER_PATH + entry.secret) if entry.state is ProviderState.NEEDS_HOLDER else None
    refunded = Money(entry.amount, entry.currency) if entry.state is ProviderState.REFUNDED else None
    return ProviderPayment(reference, entry.state, holder, entry.refusal, refunded)
