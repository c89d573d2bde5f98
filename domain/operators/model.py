"""An entry of the record of operator actions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.actors import Actor, Asked

__all__ = ["Entry", "OperatorAction", "OperatorActionKind"]


class OperatorActionKind(StrEnum):
    """The kind of an operator's action."""

    RETRY_SAGA = "RETRY_SAGA"
    """Made the next attempt of a saga begin now."""
    SKIP_STEP = "SKIP_STEP"
    """Gave up the operation that a saga was stuck at."""
    CANCEL_SAGA = "CANCEL_SAGA"
    """Made a saga stop and undo its steps."""
    BULK_START = "BULK_START"
    """Started a bulk action."""
    BULK_STOP = "BULK_STOP"
    """Stopped a bulk action."""
    JOB_RUN = "JOB_RUN"
    """Made a job run now."""
    JOB_PAUSE = "JOB_PAUSE"
    """Paused a job: no run begins."""
    JOB_RESUME = "JOB_RESUME"
    """Let a job run again."""
    JOB_INTERVAL = "JOB_INTERVAL"
    """Changed how often a job runs."""
    PROVIDER_PAUSE = "PROVIDER_PAUSE"
    """Paused the payment provider: no call is sent."""
    PROVIDER_RESUME = "PROVIDER_RESUME"
    """Let calls go to the payment provider again."""
    SETTLE = "SETTLE"
    """Recorded how something that an abandoned saga left behind was settled."""
    BOOK_FLIGHT = "BOOK_FLIGHT"
    """Booked with the loyalty account of somebody else."""
    PAY_FOR_HOLD = "PAY_FOR_HOLD"
    """Paid for held seats."""
    CONFIRM_CARD = "CONFIRM_CARD"
    """Had the provider asked whether a card's holder has answered."""
    CANCEL_BOOKING = "CANCEL_BOOKING"
    """Began to cancel a booking."""
    MEND_PAYMENT = "MEND_PAYMENT"
    """Gave money back that the provider had and no saga."""
    IMPORT_FLIGHTS = "IMPORT_FLIGHTS"
    """Loaded flights from a file."""
    SEED = "SEED"
    """Added demo flights or demo members."""
    RESTORE = "RESTORE"
    """Replaced the database by a backup."""
    COPY_DATABASE = "COPY_DATABASE"
    """Copied this database from another one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What to record of an action once it takes effect; `before` and `after` are one line each."""

    asked: Asked
    kind: OperatorActionKind
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One entry. `at` in microseconds by the database's clock; `before` and `after` are one line each.

    `kind` is text, as a newer release that runs at the same time may write a kind that this one does not know.
    """

    id: str
    at: int
    by: Actor
    kind: str
    reason: str | None
    saga_id: str | None
    job_id: str | None
    bulk_action_id: str | None
    request_id: str | None
    before: str | None
    after: str | None
