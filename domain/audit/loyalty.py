"""Checks whether accounts are the sums of their entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, case, cast, func, literal, null, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Finding, Slice, look, within
from domain.loyalty.tables import loyalty_accounts, loyalty_entries

__all__ = ["SagaPoints", "check_accounts", "points_of_sagas"]

_a = loyalty_accounts.c
_e = loyalty_entries.c
_sums = (
    select(
        _e.member_number,
        cast(func.sum(_e.points), BigInteger).label("points"),
        cast(func.sum(_e.pending_points), BigInteger).label("pending"),
    )
    .group_by(_e.member_number)
    .subquery("sums")
)
_points = func.coalesce(_sums.c.points, 0).label("points")
_pending = func.coalesce(_sums.c.pending, 0).label("pending_points")
_UNEQUAL: Final = (
    select(_a.member_number, _a.balance, _a.pending, _points, _pending)
    .select_from(loyalty_accounts.outerjoin(_sums, _sums.c.member_number == _a.member_number))
    .where((_a.balance != _points) | (_a.pending != _pending))
    .order_by(_a.member_number)
)

# Each entry leads from one balance to the next. Neither its ID nor its time need be in the order in
# which replicas wrote. But in any order, as many entries must begin at a balance as end there; one
# more begins at zero, as the account does.
_begun = _e.balance_after - _e.points
_ends = union_all(
    select(
        _e.member_number, _begun.label("balance"), literal(1).label("begins"), cast(_e.id, Text).label("beginning_id")
    ),
    select(_e.member_number, _e.balance_after, literal(-1), cast(null(), Text)),
).subquery("ends")
_ORPHANED: Final = (
    select(
        _ends.c.member_number,
        _ends.c.balance,
        func.aggregate_strings(_ends.c.beginning_id, ", ").label("ids"),
    )
    .group_by(_ends.c.member_number, _ends.c.balance)
    .having(func.sum(_ends.c.begins) > case((_ends.c.balance == 0, 1), else_=0))
    .order_by(_ends.c.member_number, _ends.c.balance)
)
_OF_SAGAS: Final = (
    select(
        _e.saga_id,
        cast(func.sum(_e.points), BigInteger).label("points"),
        cast(func.sum(_e.pending_points), BigInteger).label("pending"),
    )
    .where(within(_e.saga_id))
    .group_by(_e.saga_id)
)


@dataclass(frozen=True, slots=True)
class SagaPoints:
    """The sum of a saga's entries on its member's account."""

    points: int = 0
    pending: int = 0


async def check_accounts(connection: AsyncConnection) -> list[Finding]:
    """Check every account and every entry."""
    sums = Finding("account-sums", "Every account's balance and pending miles are the sums of its entries.")
    await look(
        connection,
        sums,
        _UNEQUAL,
        lambda row: (
            f"account {row.member_number}",
            f"it says {row.balance} points and {row.pending} pending, "
            f"its entries come to {row.points} and {row.pending_points}",
        ),
    )
    running = Finding("account-entries", "Every entry begins at the balance that the one before it ended with.")
    await look(
        connection,
        running,
        _ORPHANED,
        lambda row: (
            f"account {row.member_number}",
            f"no entry ends at the {row.balance} points at which begins: entry {row.ids}",
        ),
    )
    return [sums, running]


async def points_of_sagas(connection: AsyncConnection, part: Slice) -> Mapping[str, SagaPoints]:
    """The sum of the entries of every saga of the slice that has any, by saga ID."""
    rows = await connection.execute(_OF_SAGAS, part.parameters)
    return {saga_id: SagaPoints(int(points), int(pending)) for saga_id, points, pending in rows}
