"""Reads accounts and their entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.loyalty.model import EntryReason, LoyaltyAccount, LoyaltyEntry
from domain.loyalty.tables import loyalty_accounts, loyalty_entries
from domain.storage import AnyRow, Query, any_of, is_known, page_of

__all__ = ["accounts_by_numbers", "entries_by_ids", "entries_count", "entries_page"]

PAGE_ENTRIES_MAX: Final = 100
_a = loyalty_accounts.c
_e = loyalty_entries.c
_accounts = Query(select(loyalty_accounts).where(any_of(_a.member_number, "numbers")))
_entries = Query(select(loyalty_entries).where(any_of(_e.id, "ids")))


async def accounts_by_numbers(connection: AsyncConnection, numbers: Sequence[str]) -> dict[str, LoyaltyAccount]:
    """Accounts by member number; unknown ones are left out."""
    rows = await _accounts(connection, numbers=list(numbers))
    return {row.member_number: LoyaltyAccount(row.member_number, row.name, row.balance, row.pending) for row in rows}


async def entries_page(
    connection: AsyncConnection, member_number: str, *, after: str | None, limit: int, reverse: bool = False
) -> list[LoyaltyEntry]:
    """The newest entries of one account below the ID `after`; at most `limit`, never more than 101.

    `reverse`: as `page_of`.
    """
    entries = select(loyalty_entries).where(_e.member_number == member_number, is_known(_e.reason, EntryReason))
    limit = min(limit, PAGE_ENTRIES_MAX + 1)
    statement = page_of(entries, _e.id, after=after, limit=limit, descending=True, reverse=reverse)
    return [_entry(row) for row in await connection.execute(statement)]


async def entries_count(connection: AsyncConnection, member_number: str) -> int:
    """How many entries an account has."""
    counted = select(func.count()).select_from(loyalty_entries)
    statement = counted.where(_e.member_number == member_number, is_known(_e.reason, EntryReason))
    return int((await connection.execute(statement)).scalar_one())


async def entries_by_ids(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, LoyaltyEntry]:
    """Entries by id."""
    return {row.id: _entry(row) for row in await _entries(connection, ids=list(ids))}


def _entry(row: AnyRow) -> LoyaltyEntry:
    return LoyaltyEntry(
        row.id,
        row.member_number,
        row.points,
        row.pending_points,
        EntryReason(row.reason),
        row.saga_id,
        row.correlation_id,
        row.balance_after,
        row.at,
    )
