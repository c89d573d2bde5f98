"""Award, post, reverse, redeem, refund, restore: each for a whole batch of sagas, each at most once a saga.

Every function locks its accounts in key order, skips accounts that another transaction has locked
(`Busy`), decides in Python in arrival order, and writes entries and accounts with one statement
each. A repeated call for the same saga changes nothing and gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.loyalty.ledger import Ledger, SagaEntries
from domain.loyalty.model import (
    Award,
    Awarded,
    EntryReason,
    InsufficientPoints,
    MemberUnknown,
    NothingToPost,
    NothingToRefund,
    NothingToRestore,
    NothingToReverse,
    Posted,
    Redeemed,
    Redemption,
    Refunded,
    Restored,
    Reversed,
)
from domain.outcome import Busy

__all__ = ["award", "post", "redeem", "refund", "restore", "reverse"]


async def award(
    connection: AsyncConnection, awards: Sequence[Award], *, at: int
) -> list[Awarded | MemberUnknown | Busy]:
    """Credit miles as pending: not spendable until they are posted."""
    if not awards:
        return []
    ledger = await Ledger.open(connection, [item.saga_id for item in awards], [item.member_number for item in awards])
    answers: list[Awarded | MemberUnknown | Busy] = []
    for item in awards:
        if item.member_number in ledger.unknown:
            answers.append(MemberUnknown())
        elif ledger.is_busy(item.member_number):
            answers.append(Busy())
        else:
            if not _has(ledger, item.saga_id, EntryReason.AWARDED):
                ledger.change(
                    item.member_number,
                    EntryReason.AWARDED,
                    points=0,
                    pending=item.miles,
                    saga_id=item.saga_id,
                    correlation_id=item.correlation_id,
                    at=at,
                )
            answers.append(Awarded())
    await ledger.write(connection)
    return answers


async def post(connection: AsyncConnection, saga_ids: Sequence[str], *, at: int) -> list[Posted | NothingToPost | Busy]:
    """Make the pending miles of these sagas spendable."""
    if not saga_ids:
        return []
    ledger = await Ledger.open(connection, saga_ids)
    answers: list[Posted | NothingToPost | Busy] = []
    for saga_id in saga_ids:
        entries = ledger.sagas.get(saga_id)
        miles = _open_miles(entries)
        if entries is None or EntryReason.AWARDED not in entries.changes:
            answers.append(NothingToPost())
        elif ledger.is_busy(entries.member_number):
            answers.append(Busy())
        else:
            if miles:
                _change(ledger, saga_id, EntryReason.POSTED, miles, -miles, at)
            answers.append(Posted(entries.changes[EntryReason.AWARDED][1]))
    await ledger.write(connection)
    return answers


async def reverse(
    connection: AsyncConnection, saga_ids: Sequence[str], *, at: int
) -> list[Reversed | NothingToReverse | Busy]:
    """Take back the miles that these sagas awarded: from the pending miles or, once posted, from the balance.

    The balance may go below zero if the miles were spent; it always takes back the full amount.
    """
    if not saga_ids:
        return []
    ledger = await Ledger.open(connection, saga_ids)
    answers: list[Reversed | NothingToReverse | Busy] = []
    for saga_id in saga_ids:
        entries = ledger.sagas.get(saga_id)
        if entries is None or not _reversible(entries):
            answers.append(NothingToReverse())
        elif ledger.is_busy(entries.member_number):
            answers.append(Busy())
        else:
            answers.append(Reversed(_reverse(ledger, saga_id, entries, at)))
    await ledger.write(connection)
    return answers


async def redeem(
    connection: AsyncConnection, redemptions: Sequence[Redemption], *, at: int
) -> list[Redeemed | InsufficientPoints | MemberUnknown | Busy]:
    """Take points from balances, checked under their lock and in arrival order."""
    if not redemptions:
        return []
    ledger = await Ledger.open(
        connection, [item.saga_id for item in redemptions], [item.member_number for item in redemptions]
    )
    answers: list[Redeemed | InsufficientPoints | MemberUnknown | Busy] = []
    for item in redemptions:
        if item.member_number in ledger.unknown:
            answers.append(MemberUnknown())
        elif ledger.is_busy(item.member_number):
            answers.append(Busy())
        elif _has(ledger, item.saga_id, EntryReason.REDEEMED):
            answers.append(Redeemed())
        elif ledger.balances[item.member_number] < item.points:
            answers.append(InsufficientPoints(ledger.balances[item.member_number], item.points))
        else:
            ledger.change(
                item.member_number,
                EntryReason.REDEEMED,
                points=-item.points,
                pending=0,
                saga_id=item.saga_id,
                correlation_id=item.correlation_id,
                at=at,
            )
            answers.append(Redeemed())
    await ledger.write(connection)
    return answers


async def refund(
    connection: AsyncConnection, saga_ids: Sequence[str], *, at: int
) -> list[Refunded | NothingToRefund | Busy]:
    """Give back the points that these sagas redeemed."""
    if not saga_ids:
        return []
    ledger = await Ledger.open(connection, saga_ids)
    answers: list[Refunded | NothingToRefund | Busy] = []
    for saga_id in saga_ids:
        entries = ledger.sagas.get(saga_id)
        if entries is None or not _refundable(entries):
            answers.append(NothingToRefund())
        elif ledger.is_busy(entries.member_number):
            answers.append(Busy())
        else:
            answers.append(Refunded(_refund(ledger, saga_id, entries, at)))
    await ledger.write(connection)
    return answers


async def restore(
    connection: AsyncConnection, saga_ids: Sequence[str], *, at: int
) -> list[Restored | NothingToRestore | Busy]:
    """Undo all changes of these bookings' sagas: take the miles back and return the points."""
    if not saga_ids:
        return []
    ledger = await Ledger.open(connection, saga_ids)
    answers: list[Restored | NothingToRestore | Busy] = []
    for saga_id in saga_ids:
        entries = ledger.sagas.get(saga_id)
        if entries is None or not (_reversible(entries) or _refundable(entries)):
            answers.append(NothingToRestore())
        elif ledger.is_busy(entries.member_number):
            answers.append(Busy())
        else:
            miles = _reverse(ledger, saga_id, entries, at) if _reversible(entries) else 0
            points = _refund(ledger, saga_id, entries, at) if _refundable(entries) else 0
            answers.append(Restored(entries.member_number, miles, points))
    await ledger.write(connection)
    return answers


def _has(ledger: Ledger, saga_id: str, reason: EntryReason) -> bool:
    entries = ledger.sagas.get(saga_id)
    return entries is not None and reason in entries.changes


def _open_miles(entries: SagaEntries | None) -> int:
    """The miles that are still pending."""
    return sum(pending for _, pending in entries.changes.values()) if entries is not None else 0


def _reversible(entries: SagaEntries) -> bool:
    return EntryReason.AWARDED in entries.changes and EntryReason.REVERSED not in entries.changes


def _refundable(entries: SagaEntries) -> bool:
    return EntryReason.REDEEMED in entries.changes and EntryReason.REFUNDED not in entries.changes


def _reverse(ledger: Ledger, saga_id: str, entries: SagaEntries, at: int) -> int:
    awarded = entries.changes[EntryReason.AWARDED][1]
    pending = _open_miles(entries)
    _change(ledger, saga_id, EntryReason.REVERSED, pending - awarded, -pending, at)
    return awarded


def _refund(ledger: Ledger, saga_id: str, entries: SagaEntries, at: int) -> int:
    redeemed = -entries.changes[EntryReason.REDEEMED][0]
    _change(ledger, saga_id, EntryReason.REFUNDED, redeemed, 0, at)
    return redeemed


def _change(ledger: Ledger, saga_id: str, reason: EntryReason, points: int, pending: int, at: int) -> None:
    entries = ledger.sagas[saga_id]
    ledger.change(
        entries.member_number,
        reason,
        points=points,
        pending=pending,
        saga_id=saga_id,
        correlation_id=entries.correlation_id,
        at=at,
    )
