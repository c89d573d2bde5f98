"""The demo members: SS0000001 to SS0000100, with 50,000 points each."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.ids import new_id
from domain.loyalty.model import EntryReason
from domain.loyalty.queries import accounts_by_numbers
from domain.loyalty.tables import loyalty_accounts, loyalty_entries
from domain.operators import OperatorActionKind, record
from domain.storage import BulkInsert, Database

__all__ = ["MEMBERS", "POINTS_EACH", "seed_members"]

MEMBERS: Final = 100
POINTS_EACH: Final = 50_000
_GIVEN: Final = ("Ada", "Bruno", "Chiara", "David", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas")
_FAMILY: Final = ("Abbott", "Brandt", "Costa", "Dufour", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen")

_a = loyalty_accounts.c
_e = loyalty_entries.c
_insert_accounts = BulkInsert(loyalty_accounts, _a.member_number, _a.name, _a.balance, _a.pending)
_insert_entries = BulkInsert(
    loyalty_entries, _e.id, _e.member_number, _e.points, _e.pending_points, _e.reason, _e.balance_after, _e.at
)


async def seed_members(database: Database, asked: Asked | None = None) -> int:
    """Add the demo members that are missing, each with its opening entry; return how many were added.

    `asked`: the operator whose action it is, if it is one.
    """
    names = {
        f"SS{number:07d}": f"{_GIVEN[(number - 1) % 10]} {_FAMILY[(number - 1) // 10]}"
        for number in range(1, MEMBERS + 1)
    }

    async def work(connection: AsyncConnection) -> int:
        known = await accounts_by_numbers(connection, list(names))
        at = await database.clock.now(connection)
        missing = [number for number in names if number not in known]
        await _insert_accounts(connection, [(number, names[number], POINTS_EACH, 0) for number in missing])
        await _insert_entries(
            connection,
            [(new_id(), number, POINTS_EACH, 0, EntryReason.OPENING.value, POINTS_EACH, at) for number in missing],
        )
        if missing and asked is not None:
            before, after = f"members: {len(known)}", f"members: {len(names)}"
            await record(connection, asked, OperatorActionKind.SEED, at=at, before=before, after=after)
        return len(missing)

    return await database.write(work)
