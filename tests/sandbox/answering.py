"""A process that answers requests without end, and writes each reference down once it is answered, to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from domain.outcome import Succeeded
from sandbox import SandboxGateway
from tests.domain.payments.bank import PRICE, books_at, order

CUSTOMERS = 8


async def answer(kind: str, target: str) -> None:
    """Authorize and capture for CUSTOMERS at once, each under references of their own."""
    gateway = SandboxGateway(books_at(kind, target))
    await gateway.start()
    await asyncio.gather(*(_buy(gateway, customer) for customer in range(CUSTOMERS)))


async def _buy(gateway: SandboxGateway, customer: int) -> None:
    number = 0
    while True:
        reference = f"pi_{customer}_{number}"
        assert isinstance(await gateway.authorize(reference, order(), f"{reference}:authorize"), Succeeded)
        _tell("AUTHORIZED", reference)
        assert isinstance(await gateway.capture(reference, PRICE, f"{reference}:capture"), Succeeded)
        _tell("CAPTURED", reference)
        number += 1


def _tell(*words: str) -> None:
    """One unbuffered write a line, so that a kill leaves no half of one."""
    os.write(sys.stdout.fileno(), (" ".join(words) + "\n").encode())


def main(arguments: Sequence[str]) -> None:
    """`KIND TARGET`, as `books_at` takes them."""
    kind, target = arguments
    asyncio.run(answer(kind, target))


if __name__ == "__main__":
    main(sys.argv[1:])
