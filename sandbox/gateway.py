"""The sandbox as a payment gateway."""

from __future__ import annotations

import asyncio

from domain.loops import rings
from domain.money import Money
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentOrder, ProviderPayment, ProviderState
from sandbox.books import Books
from sandbox.faults import Fault, FaultKind, Faults
from sandbox.ledger import Answer, Request

__all__ = ["SandboxGateway"]

_TIMEOUT = Unknown("TIMEOUT", "The provider did not answer in time.")


class SandboxGateway:
    """Answers from `books`, with the injected `faults`."""

    name = "sandbox"
    takes_our_reference = True

    def __init__(self, books: Books) -> None:
        self.books = books
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
        return await self._do(Request("authorize", reference, key, amount.minor, amount.currency, order.token))

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return await self._do(Request("capture", reference, key, amount.minor, amount.currency))

    async def void(self, reference: str, key: str) -> Outcome:
        return await self._do(Request("void", reference, key))

    async def refund(self, reference: str, key: str) -> Outcome:
        return await self._do(Request("refund", reference, key))

    async def read(self, reference: str) -> Outcome:
        fault = self.faults.take("read", reference)
        if fault is not None and fault.kind is not FaultKind.LATENCY:
            return _TIMEOUT
        if fault is not None:
            await asyncio.sleep(fault.seconds)
        entry = (await self.books.entries([reference])).get(reference)
        return Succeeded(data=ProviderPayment(reference, entry.state if entry else ProviderState.ABSENT))

    async def _do(self, request: Request) -> Outcome:
        fault = self.faults.take(request.operation, request.reference)
        if fault is None:
            return _outcome(await self.books.answer(request))
        return await self._fail(request, fault)

    async def _fail(self, request: Request, fault: Fault) -> Outcome:
        match fault.kind:
            case FaultKind.LATENCY:
                await asyncio.sleep(fault.seconds)
                return _outcome(await self.books.answer(request))
            case FaultKind.SERVER_ERROR:
                failing = Request(
                    request.operation,
                    request.reference,
                    request.key,
                    request.amount,
                    request.currency,
                    request.token,
                    fails=True,
                )
                return _outcome(await self.books.answer(failing))
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


def _outcome(answer: Answer) -> Outcome:
    match answer.code:
        case "OK":
            return Succeeded(answer.message)
        case "PROVIDER_ERROR":
            return Unknown(answer.code, answer.message)
        case _:
            return Refused(answer.code, answer.message)
