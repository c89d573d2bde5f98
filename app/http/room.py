"""Limits on clients before authentication, shared fairly so that one client cannot use up the resources of others.

::

    Lobby         connections without a request, and sockets without an acknowledgement
    Budget        bytes of incomplete heads and frames
    FrameQueue    time of the event loop for clients that have sent much data
    Outbox        sockets with messages to send
    Room          all of these for the connections of this process, which find it in ServerConfig

None of them refuses a newcomer. When the limit is reached, an old member is disconnected: an honest client needs
its place only for a round trip. Alternative: uvicorn's `limit_concurrency` answers 503 to every client while the limit
is reached, so that one machine could shut out all others.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import uvicorn

from app.limit_settings import MEBIBYTE

__all__ = [
    "FREE_BYTES",
    "PARTIAL_BYTES_MAX",
    "Budget",
    "FrameQueue",
    "Lobby",
    "Outbox",
    "Room",
    "ServerConfig",
    "network_of",
]

#: The first bytes of each head and each frame do not count: they are part of the cost of a connection.
FREE_BYTES: Final = 4_096
PARTIAL_BYTES_MAX: Final = 64 * MEBIBYTE
#: Clients handle their messages while the server prepares those of others.
FLUSHED_AT_ONCE: Final = 64
#: One household or one machine usually has a /64 of IPv6.
_IPV6_PREFIX: Final = 64


class Lobby:
    """Keeps at most `most` members. Beyond that, each newcomer displaces the oldest member of the network that has
    the most members. So a single machine displaces only itself, however often it connects.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.displaced = 0
        self._networks: dict[str, dict[Hashable, Callable[[], None]]] = {}
        self._members = 0

    def __len__(self) -> int:
        return self._members

    def enter(self, member: Hashable, network: str, make_way: Callable[[], None]) -> None:
        """Add the member, unless it is in the lobby; it must leave later. `make_way` is called if the member is
        displaced; it has left by then.
        """
        members = self._networks.setdefault(network, {})
        if member in members:
            return
        members[member] = make_way
        self._members += 1
        if self._members > self.most:
            crowded = max(self._networks, key=lambda name: len(self._networks[name]))
            oldest, go = next(iter(self._networks[crowded].items()))
            self.leave(oldest, crowded)
            self.displaced += 1
            go()

    def leave(self, member: Hashable, network: str) -> None:
        """Remove the member: it is gone, or has sent its request. Does nothing if it has left before."""
        members = self._networks.get(network, {})
        if members.pop(member, None) is not None:
            self._members -= 1
        if not members:
            self._networks.pop(network, None)


class Budget:
    """Lets all holders together hold `bytes_max`, not counting the first FREE_BYTES of each.

    Beyond that, the holder that began first is displaced.
    """

    def __init__(self, bytes_max: int = PARTIAL_BYTES_MAX) -> None:
        self.displaced = 0
        self._bytes_max = bytes_max
        self._held: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._bytes = 0

    def hold(self, holder: Hashable, size: int, make_way: Callable[[], None]) -> None:
        """Record that the holder now holds `size` bytes. `make_way` is called if it is displaced; its bytes no longer
        count by then.
        """
        before = self._held[holder][0] if holder in self._held else 0
        counted = max(0, size - FREE_BYTES)
        self._bytes += counted - before
        if counted:
            self._held[holder] = counted, make_way
        elif before:
            del self._held[holder]
        while self._bytes > self._bytes_max:
            oldest = next(iter(self._held))
            freed, go = self._held.pop(oldest)
            self._bytes -= freed
            self.displaced += 1
            go()

    def release(self, holder: Hashable) -> None:
        """Record that the holder holds nothing any more."""
        if holder in self._held:
            self._bytes -= self._held.pop(holder)[0]


class FrameQueue:
    """Lets waiting members continue one by one, one per iteration of the event loop, so that they never block it."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._next: asyncio.Handle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether any member waits."""
        return bool(self._waiting)

    def wait(self, member: Hashable, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is the member's turn, once."""
        self._waiting.setdefault(member, go_on)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def leave(self, member: Hashable) -> None:
        """Remove the member from the queue."""
        self._waiting.pop(member, None)

    def _turn(self) -> None:
        self._next = None
        if self._waiting:
            go_on = self._waiting.pop(next(iter(self._waiting)))
            self._next = asyncio.get_running_loop().call_soon(self._turn)
            go_on()


class Flushable(Protocol):
    """A connection with messages that are not sent yet."""

    def flush(self) -> None:
        """Send them. Never raises; does nothing if they are sent or the connection is closed."""
        ...


class Outbox:
    """Sends what one turn of the loop writes to each socket with one system call, the first sockets before the last.

    The events of one commit are one packet then, and the tasks of a turn run before the tasks that they wake.
    """

    def __init__(self) -> None:
        self._waiting: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Flush `connection` once its task waits: in the next turn, or when more sockets have gathered."""
        if len(self._waiting) >= FLUSHED_AT_ONCE:
            self._flush()
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()


@dataclass(frozen=True, slots=True)
class Room:
    """`idle`: connections without a running request: before the first, between two, or about to end.

    `heads` and `frames`: the bytes received of incomplete ones. `frame_queue`: who parses frames next. `outbox`: who
    sends next. `init_bytes_max`: the limit of a message before the acknowledgement.
    """

    idle: Lobby = field(default_factory=lambda: Lobby(5_000))
    heads: Budget = field(default_factory=Budget)
    frames: Budget = field(default_factory=Budget)
    frame_queue: FrameQueue = field(default_factory=FrameQueue)
    outbox: Outbox = field(default_factory=Outbox)
    init_bytes_max: int = FREE_BYTES


class ServerConfig(uvicorn.Config):
    """uvicorn's Config, with the room that its connections share."""

    def __init__(self, *arguments: Any, room: Room, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.room = room


def network_of(address: str) -> str:
    """The network that a remote address counts for: itself, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
