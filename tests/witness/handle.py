"""How a test starts the witness and talks to its control plane."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tests.witness.behaviour import What
from tests.witness.books import Books
from tests.witness.webhooks import Order

__all__ = ["Merchant", "Witness"]

CONTROL_SECONDS_MAX: Final = 30.0
ENDING_SECONDS_MAX: Final = 5.0
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Witness:
    """A running witness: the URL of its API, and that of its control plane."""

    url: str
    control_url: str

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Witness]:
        """One in a process of its own, which ends with the block or with this thread. For fixtures that are not async.

        The kernel ends it with the thread that has started it.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.witness"], cwd=_ROOT, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            yield cls(*process.stdout.readline().split())
        finally:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Witness]:
        """As `started`, for a test that needs one of its own, as it sends it away."""
        with cls.started() as witness:
            yield witness

    def merchant(self, name: str | None = None) -> Merchant:
        """A merchant of this name, or a new one."""
        return Merchant(self, f"sk_test_{name or uuid.uuid4().hex}")

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Refuse connections while the block lasts, and cut those that there are."""
        await self.go_away()
        try:
            yield
        finally:
            await self.come_back()

    async def go_away(self) -> None:
        """Refuse connections, and cut those that there are."""
        await _order(self.control_url, "away", {})

    async def come_back(self) -> None:
        """Accept connections."""
        await _order(self.control_url, "back", {})


@dataclass(frozen=True)
class Merchant:
    """One account at a witness, and what a test does about it."""

    witness: Witness
    api_key: str

    async def set(self, **settings: Any) -> None:
        """Change settings, as `behaviour.Settings` has them; the others stay."""
        await self._do("settings", settings)

    async def fault(
        self,
        operation: str,
        what: What = "ERROR",
        *,
        after_effect: bool = False,
        times: int = 1,
        share: float | None = None,
        seconds: float = 0.0,
    ) -> None:
        """The next `times` requests of `operation` go wrong.

        An operation is `open`, `authorize`, `capture`, `void`, `refund`, `read`, or `*` for any. With `share` each
        request has this chance, until `heal`.
        """
        fault = {
            "operation": operation,
            "what": what,
            "after_effect": after_effect,
            "times": times,
            "share": share,
            "seconds": seconds,
        }
        await self._do("faults", [fault])

    async def heal(self) -> None:
        """Take all faults back."""
        await self._do("faults", {})

    async def advance(self, seconds: float) -> None:
        """Move the merchant's clock; what falls due happens."""
        await self._do("clock", {"seconds": seconds})

    async def holder(self, reference: str, *, approves: bool) -> None:
        """The card's holder answers; the first answer counts."""
        await self._do("holder", {"reference": reference, "approves": approves}, also=(402,))

    async def elsewhere(self, reference: str, does: str, **with_: Any) -> None:
        """Somebody does it in the dashboard: `capture`, `cancel`, or `refund` (of an `amount`)."""
        await self._do("elsewhere", {"reference": reference, "does": does, "with": with_})

    async def settle_refund(self, reference: str, *, failed: bool = False) -> None:
        """The bank has decided about the pending refunds of this payment, or about the newest one."""
        await self._do("settle-refund", {"reference": reference, "status": "failed" if failed else "succeeded"})

    async def dispute(self, reference: str, reason: str = "fraudulent") -> None:
        """The holder's bank takes the money back for now."""
        await self._do("dispute", {"reference": reference, "reason": reason})

    async def settle_dispute(self, reference: str, *, won: bool) -> None:
        """The bank has decided about the dispute."""
        await self._do("settle-dispute", {"reference": reference, "won": won})

    async def webhooks(
        self, url: str | None, secret: str = "", *, held: bool = False, kinds: Collection[str] | None = None
    ) -> None:
        """Send events to `url`, signed with `secret`, one after another as they happen; held: only once released.

        `kinds`: the only types that the endpoint is told of.
        """
        wish = {"url": url, "secret": secret, "held": held, "kinds": None if kinds is None else list(kinds)}
        await self._do("webhooks", wish)

    async def release(self, order: Order = "AS_MADE", times: int = 1) -> int:
        """Send what is held, each `times` times; returns how many, once all are answered."""
        sent: int = (await self._do("release", {"order": order, "times": times}))["sent"]
        return sent

    async def sent(self) -> list[tuple[str, int]]:
        """Type and status of each event that was sent; 0: no answer."""
        return [(kind, status) for kind, status in (await self._do("sent", {}))["sent"]]

    async def books(self) -> Books:
        """What the books say now."""
        return msgspec.convert(await self._do("books", {}), Books, strict=False)

    def books_now(self) -> Books:
        """As `books`, where no loop runs."""
        return asyncio.run(self.books())

    async def _do(self, order: str, wish: Any, also: tuple[int, ...] = ()) -> Any:
        return await _order(f"{self.witness.control_url}", f"{self.api_key}/{order}", wish, also)


async def _order(control_url: str, order: str, wish: Any, also: tuple[int, ...] = ()) -> Any:
    # Plain HTTP, and the client would read all certificates first.
    async with httpx.AsyncClient(timeout=CONTROL_SECONDS_MAX, verify=False) as client:
        answer = await client.post(f"{control_url}/_control/{order}", json=wish)
    if answer.status_code not in (200, *also):
        raise AssertionError(f"the witness answers {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else None
