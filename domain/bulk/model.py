"""Bulk actions as values: what is asked for, how one stands, and why one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from domain.actors import Actor
from domain.bookings import RefusalCode
from domain.saga import SagaQuery

__all__ = [
    "BULK_SAGAS_MAX",
    "SAGAS_PER_SECOND_DEFAULT",
    "SAGAS_PER_SECOND_MAX",
    "BulkAction",
    "BulkActionEnded",
    "BulkActionKind",
    "BulkActionStarted",
    "BulkActionStatus",
    "BulkMatched",
    "BulkRefused",
    "BulkRequest",
    "BulkTurnTaken",
    "TargetState",
    "UnknownBulkAction",
]

#: The most sagas of one action: they are written in the transaction of its start.
BULK_SAGAS_MAX: Final = 100_000
SAGAS_PER_SECOND_DEFAULT: Final = 10
SAGAS_PER_SECOND_MAX: Final = 1_000


class BulkActionKind(StrEnum):
    """What is done to each saga."""

    RETRY = "RETRY"
    """Its next attempt begins now. PARKED sagas are passed over."""
    SKIP = "SKIP"
    """The operation that it is stuck at is given up."""
    CANCEL = "CANCEL"
    """It stops and undoes its steps."""
    UNPARK = "UNPARK"
    """A PARKED saga is looked at again; all others are passed over."""


class BulkActionStatus(StrEnum):
    """The state of a bulk action."""

    RUNNING = "RUNNING"
    """Some sagas have not had their turn."""
    STOPPED = "STOPPED"
    """An operator stopped it; what was done stays done."""
    DONE = "DONE"
    """Each saga has had its turn."""

    @property
    def is_over(self) -> bool:
        """Whether no saga gets a turn any more."""
        return self is not BulkActionStatus.RUNNING


class TargetState(StrEnum):
    """The state of one saga within a bulk action."""

    PENDING = "PENDING"
    """Its turn has not come."""
    DONE = "DONE"
    """It has the signal."""
    PASSED_OVER = "PASSED_OVER"
    """It had nothing left to retry, skip or cancel when its turn came."""


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What an operator asks for. `query` None: nothing can match. `filter`: the same as JSON, for the record.

    `expected`: refuse if a different number matches now. `step` is for SKIP alone. `key`: its client's idempotency key.
    """

    kind: BulkActionKind
    query: SagaQuery | None
    filter: str
    reason: str
    step: str | None = None
    expected: int | None = None
    sagas_per_second: int = SAGAS_PER_SECOND_DEFAULT
    key: str | None = None


@dataclass(frozen=True, slots=True)
class BulkAction:
    """A bulk action as it stands. Times in microseconds by the database's clock.

    `kind` is text, as a newer release that runs at the same time may know more kinds.
    """

    id: str
    kind: str
    status: BulkActionStatus
    by: Actor
    reason: str
    filter: str
    step: str | None
    sagas_per_second: int
    started_at: int
    finished_at: int | None
    matched: int
    done: int
    passed_over: int

    @property
    def pending(self) -> int:
        """How many sagas have not had their turn."""
        return self.matched - self.done - self.passed_over

    @property
    def line(self) -> str:
        """How it stands, in one line."""
        return f"{self.status.value}: {self.done} done, {self.passed_over} passed over, of {self.matched}"


@dataclass(frozen=True, slots=True)
class BulkMatched:
    """Nothing was started: this many sagas match, and it was a dry run, or none match."""

    matched: int


@dataclass(frozen=True, slots=True)
class BulkRefused:
    """The request is invalid at `path`; nothing was started. `matched`: how many sagas match, if they were counted.

    `facts`: every value that the message contains, by name.
    """

    message: str
    path: tuple[str, ...]
    code: RefusalCode
    matched: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class UnknownBulkAction:
    """No bulk action has this ID."""

    id: str


@dataclass(frozen=True, slots=True)
class BulkActionStarted:
    """Telemetry: an operator started this action."""

    action: BulkAction


@dataclass(frozen=True, slots=True)
class BulkTurnTaken:
    """Telemetry: a turn of an action of this kind handled so many sagas."""

    kind: str
    done: int
    passed_over: int


@dataclass(frozen=True, slots=True)
class BulkActionEnded:
    """Telemetry: this action is DONE, or was STOPPED."""

    action: BulkAction
