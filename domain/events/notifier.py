"""Hints between replicas: these sagas have just changed. The log is the truth; a hint may be lost.

::

    commit ─▶ tell ─▶ gathered for 10 ms ─▶ NOTIFY, in a transaction of its own ─▶ PostgreSQL
                                                                                      │
    feeds, runner, waiting callers ◀─ hear ◀─ LISTEN, on one direct connection ◀──────┘

NOTIFY takes a lock that all committing transactions share, so it is never part of the transaction
whose change it reports. Only IDs are sent; a follower of such a saga reads its log. Hints that are
not sent (no connection, or too many changes at once) are replaced by readers that read again about
once a second. After a lost connection, all followed sagas are read at once.

Alternative: the package asyncpg-listen reconnects as well. But its handlers do not hear that the connection was lost or
is back, so they cannot read again what they missed, and its queues have no limit.
"""

from __future__ import annotations

import asyncio
import logging
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from domain.events.model import SagaEvent
from domain.loops import Loop
from domain.storage import Server

__all__ = ["GATHER_SECONDS", "Hint", "Notifier"]

GATHER_SECONDS: Final = 0.01
PING_SECONDS: Final = 5.0
PENDING_SAGAS_MAX: Final = 4_096
RECONNECT_SECONDS: Final = (0.1, 5.0)
_CHANNEL: Final = "seatsaga_sagas"
#: PostgreSQL accepts less than 8,000 bytes.
_PAYLOAD_BYTES_MAX: Final = 7_900
_EVERYTHING: Final = "*"
#: Two UUIDs in base 64.
_IDS_CHARACTERS: Final = 44
_SEND: Final = f"SELECT pg_notify('{_CHANNEL}', payload) FROM unnest($1::text[]) AS payload"
_logger = logging.getLogger("seatsaga.notifier")


@dataclass(frozen=True, slots=True)
class Hint:
    """The saga has new events, numbered `first` to `last`; if `first` is 0, it also has a new signal.

    `ended`: it has ended, or waits for its customer.
    """

    saga_id: str
    correlation_id: str
    first: int = 0
    last: int = 0
    ended: bool = False

    def joined(self, newer: Hint) -> Hint:
        """Both hints as one."""
        return Hint(
            self.saga_id,
            self.correlation_id,
            min(self.first, newer.first),
            max(self.last, newer.last),
            self.ended or newer.ended,
        )

    @property
    def is_signal(self) -> bool:
        """Whether the saga's owner has something to obey."""
        return self.first == 0


class Notifier:
    """Sends and receives hints for one replica between `start` and `stop`.

    `hear` is called with the hints of others, or with None if any saga may have changed. It must be
    quick. Guarantee: callers never wait here, and a failure here never fails their transaction.
    """

    def __init__(self, server: Server, hear: Callable[[Sequence[Hint] | None], None]) -> None:
        self._server = server
        self._hear = hear
        self._pending: dict[str, Hint] = {}
        self._too_many = False
        self._bell = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._listening = asyncio.Event()
        self._loop = Loop(
            "notifier",
            self._turn,
            pause_seconds=PING_SECONDS,
            on_fault=_tell_fault,
            retry_seconds=_reconnect_seconds,
            bell=self._bell,
            at_once=True,
        )
        self.sent = 0
        self.heard = 0

    @property
    def is_listening(self) -> bool:
        """Whether hints can be received now."""
        return self._listening.is_set()

    async def start(self) -> None:
        """Begin to listen; returns at once."""
        self._loop.start()

    async def listening(self) -> None:
        """Wait until hints can be received."""
        await self._listening.wait()

    async def stop(self) -> None:
        """Close the connection."""
        await self._loop.stop()
        self._hang_up()

    # ------------------------------------------------------------------ telling

    def tell(self, events: Iterable[SagaEvent]) -> None:
        """Send hints for these events, which are committed, in order within each saga."""
        if not self._listening.is_set():
            return
        firsts: dict[str, int] = {}
        lasts: dict[str, SagaEvent] = {}
        for event in events:
            firsts.setdefault(event.saga_id, event.sequence)
            lasts[event.saga_id] = event
        for saga_id, event in lasts.items():
            self.say(Hint(saga_id, event.correlation_id, firsts[saga_id], event.sequence, event.type.is_rest))

    def say(self, hint: Hint) -> None:
        """Send these hints to the other replicas, together with others of the same moment."""
        if not self._listening.is_set():
            return
        known = self._pending.get(hint.saga_id)
        if known is None and len(self._pending) >= PENDING_SAGAS_MAX:
            self._too_many = True
        else:
            self._pending[hint.saga_id] = hint if known is None else known.joined(hint)
        self._bell.set()

    def _take(self) -> list[str]:
        hints, too_many = list(self._pending.values()), self._too_many
        self._pending.clear()
        self._too_many = False
        return [_EVERYTHING] if too_many else _payloads(hints)

    # ------------------------------------------------------------------ the connection

    async def _turn(self) -> None:
        """Listen, if not listening yet; then send the gathered hints, or check whether the connection is alive."""
        try:
            if self._connection is None:
                await self._listen()
            elif payloads := self._take():
                await self._connection.execute(_SEND, payloads)
                self.sent += len(payloads)
                # The first hint is sent at once; hints that come meanwhile are sent together.
                await asyncio.sleep(GATHER_SECONDS)
            else:
                await self._connection.execute("SELECT 1")
        except Exception:
            self._hang_up()
            raise

    async def _listen(self) -> None:
        self._connection = await self._server.connect()
        await self._connection.add_listener(_CHANNEL, self._on_notification)
        self._listening.set()
        # Hints may have been missed before this process listened.
        self._hear(None)

    def _hang_up(self) -> None:
        self._listening.clear()
        self._pending.clear()
        if self._connection is not None:
            # Not `close`, which would wait for a server that may be gone.
            self._connection.terminate()
            self._connection = None

    def _on_notification(self, connection: Any, sender: int, channel: str, payload: Any) -> None:
        if sender == connection.get_server_pid():
            return
        self.heard += 1
        try:
            hints = _hints(payload)
        except ValueError:
            # A newer release may use another format.
            hints = None
        self._hear(hints)


def _tell_fault(error: Exception) -> None:
    _logger.warning(
        "No hints from other replicas (%s: %s); their changes are seen within a second.", type(error).__name__, error
    )


def _reconnect_seconds(faults: int) -> float:
    least, most = RECONNECT_SECONDS
    return min(least * 2.0 ** min(faults - 1, 16), most) * random.uniform(0.5, 1)


def _payloads(hints: Iterable[Hint]) -> list[str]:
    """As few texts as can hold all hints."""
    payloads: list[str] = []
    room = 0
    for hint in hints:
        text = _text(hint)
        if len(text) + 1 > room:
            payloads.append(text)
            room = _PAYLOAD_BYTES_MAX - len(text)
        else:
            payloads[-1] += f" {text}"
            room -= len(text) + 1
    return payloads


def _text(hint: Hint) -> str:
    ids = bytes.fromhex((hint.saga_id + hint.correlation_id).replace("-", ""))
    return f"{b64encode(ids).decode()}{hint.first:x}-{hint.last:x}{'.' if hint.ended else ''}"


def _hints(payload: str) -> list[Hint] | None:
    if payload == _EVERYTHING:
        return None
    return [_hint(text) for text in payload.split(" ")]


def _hint(text: str) -> Hint:
    ids, rest = b64decode(text[:_IDS_CHARACTERS], validate=True), text[_IDS_CHARACTERS:]
    first, _, last = rest.removesuffix(".").partition("-")
    return Hint(str(UUID(bytes=ids[:16])), str(UUID(bytes=ids[16:])), int(first, 16), int(last, 16), rest.endswith("."))
