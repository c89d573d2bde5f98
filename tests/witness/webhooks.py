"""Sends a merchant's events to its endpoint, signed as Stripe signs them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import Collection, Sequence
from typing import Final, Literal

import httpx

from tests.witness.objects import Event

__all__ = ["Order", "Webhooks"]

SEND_SECONDS_MAX: Final = 10.0
TRIES_MAX: Final = 5
RETRY_SECONDS: Final = 0.2
Order = Literal["AS_MADE", "REVERSED", "SHUFFLED"]


class Webhooks:
    """One endpoint. Events are sent one after another, or held until they are released."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._secret = ""
        self._is_held = False
        self._kinds: Collection[str] | None = None
        self._held: list[Event] = []
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self.sent: list[tuple[str, int]] = []
        """Type and status of each one sent; 0: no answer."""

    def to(self, url: str | None, secret: str, *, held: bool, kinds: Collection[str] | None) -> None:
        """From now on; None: nowhere. `kinds`: only events of these types, as an endpoint can be set up."""
        self._url, self._secret, self._is_held, self._kinds = url, secret, held, kinds
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())

    def tell(self, event: Event) -> None:
        """An event has happened."""
        if self._url is None or (self._kinds is not None and event.type not in self._kinds):
            return
        if self._is_held:
            self._held.append(event)
        else:
            self._queue.put_nowait(event)

    async def release(self, order: Order, times: int) -> int:
        """Send what is held, each so many times; returns how many were sent once all are answered."""
        events: Sequence[Event] = self._held
        if order == "REVERSED":
            events = events[::-1]
        elif order == "SHUFFLED":
            events = random.Random(len(events)).sample(events, len(events))
        self._held = []
        for event in [event for event in events for _ in range(times)]:
            self._queue.put_nowait(event)
        await self._queue.join()
        return len(events) * times

    async def _send_all(self) -> None:
        async with httpx.AsyncClient(timeout=SEND_SECONDS_MAX) as client:
            while True:
                event = await self._queue.get()
                await self._send(client, event)
                self._queue.task_done()

    async def _send(self, client: httpx.AsyncClient, event: Event) -> None:
        """A few tries, as a receiver may be restarting."""
        for _ in range(TRIES_MAX):
            url = self._url
            if url is None:
                return
            body = json.dumps(event.shown()).encode()
            headers = {"Stripe-Signature": self._signature(body), "Content-Type": "application/json"}
            try:
                status = (await client.post(url, content=body, headers=headers)).status_code
            except httpx.HTTPError:
                status = 0
            self.sent.append((event.type, status))
            if status == 200:
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _signature(self, body: bytes) -> str:
        at = int(time.time())
        signed = hmac.new(self._secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={at},v1={signed}"
