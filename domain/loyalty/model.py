"""Accounts, the reasons of their changes, and the answers to requests for changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "Award",
    "Awarded",
    "EntryReason",
    "InsufficientPoints",
    "LoyaltyAccount",
    "LoyaltyEntry",
    "MemberUnknown",
    "NothingToPost",
    "NothingToRefund",
    "NothingToRestore",
    "NothingToReverse",
    "Posted",
    "Redeemed",
    "Redemption",
    "Refunded",
    "Restored",
    "Reversed",
]


class EntryReason(StrEnum):
    """Why an account changed."""

    OPENING = "OPENING"
    """The balance that the account began with."""
    AWARDED = "AWARDED"
    """Miles of a booking that is still being made: pending, not spendable."""
    POSTED = "POSTED"
    """The booking is confirmed: its pending miles are spendable."""
    REVERSED = "REVERSED"
    """Awarded miles taken back."""
    REDEEMED = "REDEEMED"
    """Points spent on a booking; they leave the balance at once."""
    REFUNDED = "REFUNDED"
    """Redeemed points given back."""


@dataclass(frozen=True, slots=True)
class LoyaltyAccount:
    """A member's account: `balance` is spendable, `pending` is awarded by sagas that still run."""

    member_number: str
    name: str
    balance: int
    pending: int


@dataclass(frozen=True, slots=True)
class LoyaltyEntry:
    """One change of an account; `at` in microseconds since the epoch."""

    id: str
    member_number: str
    points: int
    pending_points: int
    reason: EntryReason
    saga_id: str | None
    correlation_id: str | None
    balance_after: int
    at: int


@dataclass(frozen=True, slots=True)
class Award:
    """Miles to credit as pending for a saga."""

    saga_id: str
    correlation_id: str
    member_number: str
    miles: int


@dataclass(frozen=True, slots=True)
class Redemption:
    """Points to take for a saga."""

    saga_id: str
    correlation_id: str
    member_number: str
    points: int


@dataclass(frozen=True, slots=True)
class Awarded:
    """The miles are pending."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The miles are spendable."""

    miles: int


@dataclass(frozen=True, slots=True)
class Reversed:
    """The miles are taken back; the balance may be below zero if they had been spent."""

    miles: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The points have left the balance."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """The points are back in the balance."""

    points: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A cancelled booking's miles are taken back from the member's account, and its points returned to it."""

    member_number: str
    miles: int
    points: int


@dataclass(frozen=True, slots=True)
class InsufficientPoints:
    """The balance, read under its lock, is too low; nothing was taken."""

    balance: int
    needed: int


@dataclass(frozen=True, slots=True)
class MemberUnknown:
    """There is no such account."""


@dataclass(frozen=True, slots=True)
class NothingToPost:
    """The saga has awarded nothing."""


@dataclass(frozen=True, slots=True)
class NothingToReverse:
    """The saga has awarded no miles, or they are taken back already."""


@dataclass(frozen=True, slots=True)
class NothingToRefund:
    """The saga has redeemed no points, or they are given back already."""


@dataclass(frozen=True, slots=True)
class NothingToRestore:
    """The saga has changed no account, or all its changes are undone already."""
