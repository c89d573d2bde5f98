"""Where a follow stands, and what comes after a loss; and the same for the subscriptions of another library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from seatsaga_client.answers import error_of_exception
from seatsaga_client.effort import Effort, Timing
from seatsaga_client.errors import ApiError, UnavailableError

__all__ = ["Following", "Pruned", "Status", "nobody", "resume"]

Event = TypeVar("Event", bound=Mapping[str, Any])
Pruned = Literal["fail", "skip"]

TERMINAL: Final = frozenset({"SAGA_COMPLETED", "SAGA_COMPENSATED", "SAGA_ABANDONED"})
#: Where the server has been there before: a proxy may stand in for it now, and a lost subscription still counts.
_MAY_PASS: Final = frozenset({"LIMIT_EXCEEDED", "NOT_GRAPHQL", "HTTP_403", "HTTP_404"})


@dataclass(frozen=True, slots=True)
class Status:
    """`live`: connected. `lost`: it connects again in `retry_seconds`, for the cause `error`. `over`: the saga ended.

    `after`: the sequence of the last event that was handed over.
    """

    state: Literal["live", "lost", "over"]
    after: int
    error: ApiError | None = None
    retry_seconds: float = 0.0


def nobody(status: Status) -> None:
    """Hears nothing."""


class Following:
    """One follow over all of its connections."""

    def __init__(
        self, after: int, *, effort: Effort, pruned: Pruned = "fail", on_status: Callable[[Status], None] = nobody
    ) -> None:
        self.after = after
        self._start = after
        self._effort = effort
        self._pruned = pruned
        self._on_status = on_status
        self._was_connected = False

    def connected(self) -> None:
        """A connection is open; it may turn out to be of no use."""
        self._on_status(Status("live", self.after))

    def is_new(self, event: Mapping[str, Any]) -> bool:
        """Whether it is to be handed over. Raises UnavailableError if events before it are missing."""
        self._was_connected = True
        if event["sequence"] <= self.after:
            return False
        if event["sequence"] > self.after + 1:
            raise UnavailableError("DISCONNECTED", f"Event {self.after + 1} is missing.")
        self.after = event["sequence"]
        return True

    def lasts(self) -> None:
        """The connection is of use: the next failure is the first again."""
        self._was_connected = True
        self._effort.progressed()

    def is_last(self, event: Mapping[str, Any]) -> bool:
        """Whether the saga is over with this event, which was handed over."""
        self.lasts()
        if event["type"] in TERMINAL:
            self.over()
            return True
        return False

    def completed(self) -> bool:
        """Whether the saga is over as the server completes the stream: it was over after the event it began from."""
        if 0 < self.after == self._start:
            self.over()
            return True
        return False

    def over(self) -> None:
        self._on_status(Status("over", self.after))

    def lost(self, error: ApiError) -> float:
        """The seconds until the next attempt. Raises `error` if none can mend it."""
        if error.code == "HISTORY_PRUNED" and self._pruned == "skip":
            self.after = self._start = int(error.details["oldest"]) - 1
            return 0.0
        lasting = error
        if self._was_connected and error.code in _MAY_PASS and not isinstance(error, UnavailableError):
            lasting = UnavailableError(error.code, error.message, error.details)
        seconds = self._effort.pause_after(lasting)
        self._on_status(Status("lost", self.after, error, seconds))
        return seconds


async def resume(
    subscribe: Callable[[int], AsyncGenerator[Event, None]],
    after: int = 0,
    *,
    pruned: Pruned = "fail",
    give_up: float | None = None,
    on_status: Callable[[Status], None] = nobody,
    timing: Timing = Timing(),
) -> AsyncGenerator[Event, None]:
    """Every event of a saga above `after`, as Client.follow, over the subscriptions of another library such as gql.

    `subscribe`: opens a connection, with the current token, and yields the events after the given sequence. It is
    called again after each loss; each event has `sequence` and `type`. It must raise, or end, if its connection goes
    silent. So an end by itself says nothing of the saga: do not begin `after` its terminal event, or set `give_up`.
    """
    effort = Effort(timing, give_up=give_up, has_new_tokens=True)
    following = Following(after, effort=effort, pruned=pruned, on_status=on_status)
    while True:
        try:
            async with aclosing(subscribe(following.after)) as events:
                async for event in events:
                    if following.is_new(event):
                        yield event
                        if following.is_last(event):
                            return
            raise UnavailableError("DISCONNECTED", "The connection ended before the saga.")
        except Exception as error:
            meant = error_of_exception(error)
            if meant is None:
                raise
            seconds = following.lost(meant)
        await asyncio.sleep(seconds)
