"""One batch's view of the accounts it has locked: changes are made in memory, in arrival order, and written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import new_id
from domain.loyalty.model import EntryReason
from domain.loyalty.tables import loyalty_accounts, loyalty_entries
from domain.storage import BulkInsert, BulkUpdate, Query, any_of

__all__ = ["Ledger", "SagaEntries", "lock"]

_a = loyalty_accounts.c
_e = loyalty_entries.c
_locked = Query(
    select(_a.member_number, _a.balance, _a.pending)
    .where(any_of(_a.member_number, "members"))
    .order_by(_a.member_number)
    .with_for_update(skip_locked=True)
)
_known = Query(select(_a.member_number).where(any_of(_a.member_number, "members")))
_of_sagas = Query(
    select(_e.saga_id, _e.correlation_id, _e.reason, _e.member_number, _e.points, _e.pending_points).where(
        any_of(_e.saga_id, "sagas")
    )
)
_insert = BulkInsert(
    loyalty_entries,
    _e.id,
    _e.member_number,
    _e.points,
    _e.pending_points,
    _e.reason,
    _e.saga_id,
    _e.correlation_id,
    _e.balance_after,
    _e.at,
)
_update = BulkUpdate(loyalty_accounts, key=(_a.member_number,), change=(_a.balance, _a.pending))


@dataclass(slots=True)
class SagaEntries:
    """A saga's changes so far, by reason: (points, pending points); and their account."""

    member_number: str
    correlation_id: str | None
    changes: dict[EntryReason, tuple[int, int]] = field(default_factory=dict)


async def lock(connection: AsyncConnection, member_numbers: Iterable[str]) -> set[str]:
    """Lock accounts in key order; accounts that do not exist, or that another transaction has locked, are left out."""
    members = sorted(set(member_numbers))
    if not members:
        return set()
    rows = await _locked(connection, members=members)
    return {row.member_number for row in rows}


class Ledger:
    """Locked accounts, the earlier changes of these sagas, and the changes of this batch."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.pending: dict[str, int] = {}
        self.unknown: set[str] = set()
        self.sagas: dict[str, SagaEntries] = {}
        self._entries: list[tuple[Any, ...]] = []
        self._changed: set[str] = set()

    @classmethod
    async def open(
        cls, connection: AsyncConnection, saga_ids: Sequence[str], member_numbers: Iterable[str] = ()
    ) -> Ledger:
        """Lock the accounts of `member_numbers` and of these sagas' earlier changes; then read those changes.

        The sagas' entries are read again after the lock, as they decide which changes to undo.
        """
        ledger = cls()
        await ledger._read_sagas(connection, saga_ids)
        members = sorted({*member_numbers, *(saga.member_number for saga in ledger.sagas.values())})
        if not members:
            return ledger
        for row in await _locked(connection, members=members):
            ledger.balances[row.member_number] = row.balance
            ledger.pending[row.member_number] = row.pending
        missing = [member for member in members if member not in ledger.balances]
        if missing:
            known = set(await _known.column(connection, members=missing))
            ledger.unknown = set(missing) - known
        if connection.dialect.name != "sqlite":
            await ledger._read_sagas(connection, saga_ids)
        return ledger

    def is_busy(self, member_number: str) -> bool:
        """Whether another transaction has locked the account."""
        return member_number not in self.balances and member_number not in self.unknown

    def change(
        self,
        member_number: str,
        reason: EntryReason,
        *,
        points: int,
        pending: int,
        saga_id: str,
        correlation_id: str | None,
        at: int,
    ) -> None:
        """Add an entry, and apply it to the account and to the saga's changes."""
        self.balances[member_number] += points
        self.pending[member_number] += pending
        self._changed.add(member_number)
        self._entries.append(
            (
                new_id(),
                member_number,
                points,
                pending,
                reason.value,
                saga_id,
                correlation_id,
                self.balances[member_number],
                at,
            )
        )
        entries = self.sagas.setdefault(saga_id, SagaEntries(member_number, correlation_id))
        entries.changes[reason] = (points, pending)

    async def write(self, connection: AsyncConnection) -> None:
        """Write the entries and the accounts, one statement each."""
        await _insert(connection, self._entries)
        await _update(
            connection, [(member, self.balances[member], self.pending[member]) for member in sorted(self._changed)]
        )

    async def _read_sagas(self, connection: AsyncConnection, saga_ids: Sequence[str]) -> None:
        self.sagas = {}
        if not saga_ids:
            return
        for row in await _of_sagas(connection, sagas=list(saga_ids)):
            entries = self.sagas.setdefault(row.saga_id, SagaEntries(row.member_number, row.correlation_id))
            entries.changes[EntryReason(row.reason)] = (row.points, row.pending_points)
