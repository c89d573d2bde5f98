"""The room that clients share before the server knows who they are, so that none can take it from the others.

::

    Lobby     those who have not said what they want: connections without a request, sockets without an acknowledgement
    Budget    bytes of heads and frames that are not complete
    Turns     time of the loop for those who have sent more than a little
    Room      all of them for the connections of this process, which find it in ServerConfig

Neither refuses a newcomer. Where there is no room, somebody who has had it for long makes way: an honest client needs
its place for the time of a round trip.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import uvicorn

from app.limit_settings import MEBIBYTE

__all__ = ["FREE_BYTES", "PARTIAL_BYTES_MAX", "Budget", "Lobby", "Room", "ServerConfig", "Turns", "network_of"]

#: Of each head and each frame, so many bytes are in nobody's way: they are part of what a connection costs.
FREE_BYTES: Final = 4_096
PARTIAL_BYTES_MAX: Final = 64 * MEBIBYTE
#: What one household or one machine has of IPv6.
_IPV6_PREFIX: Final = 64


class Lobby:
    """Keeps at most `most` members. For each one beyond, another makes way: of the network that has the most members,
    the one that has been here longest. So one machine, however often it comes, displaces itself.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.displaced = 0
        self._networks: dict[str, dict[Hashable, Callable[[], None]]] = {}
        self._members = 0

    def __len__(self) -> int:
        return self._members

    def enter(self, member: Hashable, network: str, make_way: Callable[[], None]) -> None:
        """One more, unless it is here, who must leave. `make_way` is called if it is displaced; it has left by then."""
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
        """It is gone, or has said what it wants; nothing happens if it has left before."""
        members = self._networks.get(network, {})
        if members.pop(member, None) is not None:
            self._members -= 1
        if not members:
            self._networks.pop(network, None)


class Budget:
    """Lets all holders together hold `bytes_max`, not counting the first FREE_BYTES of each.

    Where that is too little, the one that began to hold first makes way.
    """

    def __init__(self, bytes_max: int = PARTIAL_BYTES_MAX) -> None:
        self.displaced = 0
        self._bytes_max = bytes_max
        self._held: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._bytes = 0

    def hold(self, holder: Hashable, size: int, make_way: Callable[[], None]) -> None:
        """It holds `size` bytes now. `make_way` is called if it is displaced; it counts for nothing by then."""
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
        """It holds nothing any more."""
        if holder in self._held:
            self._bytes -= self._held.pop(holder)[0]


class Turns:
    """Lets those who wait go on one after another, one a turn of the loop: however many there are, the loop turns."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._next: asyncio.Handle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def wait(self, member: Hashable, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is the member's turn, once."""
        self._waiting.setdefault(member, go_on)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def leave(self, member: Hashable) -> None:
        """It waits no longer."""
        self._waiting.pop(member, None)

    def _turn(self) -> None:
        self._next = None
        if self._waiting:
            go_on = self._waiting.pop(next(iter(self._waiting)))
            self._next = asyncio.get_running_loop().call_soon(self._turn)
            go_on()


@dataclass(frozen=True, slots=True)
class Room:
    """`idle`: connections on which nothing is served: without a request yet, between two, about to end.

    `heads` and `frames`: what has come of them. `turns`: to parse frames. `init_bytes_max`: of a
    message before the acknowledgement.
    """

    idle: Lobby = field(default_factory=lambda: Lobby(5_000))
    heads: Budget = field(default_factory=Budget)
    frames: Budget = field(default_factory=Budget)
    turns: Turns = field(default_factory=Turns)
    init_bytes_max: int = FREE_BYTES


class ServerConfig(uvicorn.Config):
    """uvicorn's, with the room that its connections share."""

    def __init__(self, *arguments: Any, room: Room, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.room = room


def network_of(address: str) -> str:
    """Whom to count a remote address with: itself, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
