"""The replicas of the database: every process that has a row, its sagas, and sagas without an owner. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.saga.tables import ACTIVE, replicas, sagas
from domain.storage import AnyRow

__all__ = [
    "REPLICAS_LISTED_MAX",
    "LiveReplica",
    "ReplicaView",
    "UnclaimedSagas",
    "list_replicas",
    "list_unclaimed",
    "live_replicas",
]

#: Sagas without an owner are announced after this time.
UNCLAIMED_SECONDS: Final = 60.0
REPLICAS_LISTED_MAX: Final = 200
_r = replicas.c
_s = sagas.c


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """A process that has served this database, and its sagas. Times are microseconds since the epoch.

    `release`: its software's version; `revision`: the newest schema revision that it knows.
    Both are None if its release is older than these columns.
    """

    id: str
    host: str
    process_id: int
    started_at: int
    lease_until: int
    release: str | None
    revision: str | None
    sagas: int
    """The number of its sagas that are not over."""
    overdue: int
    """The number of these that are past their due time and still wait."""
    oldest_due_at: int | None
    """The earliest due time of these, past or future."""

    def is_alive(self, now: int) -> bool:
        """Whether its lease still runs."""
        return self.lease_until > now

    def lag_us(self, now: int) -> int:
        """How long the longest overdue saga has waited; 0 if none is overdue."""
        return max(0, now - self.oldest_due_at) if self.oldest_due_at is not None else 0


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A process whose lease has not lapsed; its release and the newest schema revision that it knows, if it says so."""

    host: str
    process_id: int
    revision: str | None
    release: str | None


@dataclass(frozen=True, slots=True)
class UnclaimedSagas:
    """This many sagas of a definition's version wait for a process that knows the version."""

    definition: str
    version: int
    sagas: int


async def list_replicas(connection: AsyncConnection, now: int) -> list[ReplicaView]:
    """The live replicas, then those that lapsed last; at most REPLICAS_LISTED_MAX of them. One statement.

    The cost depends on the number of sagas that are not over, not on the number of finished ones.
    """
    rows: Sequence[AnyRow] = (await connection.execute(_listed, {"now": now})).all()
    return [ReplicaView(*row) for row in rows]


async def list_unclaimed(connection: AsyncConnection, now: int) -> list[UnclaimedSagas]:
    """Sagas still without a new owner long after their replica's lease lapsed: no live process knows their version."""
    before = now - round(UNCLAIMED_SECONDS * SECOND)
    return [UnclaimedSagas(*row) for row in await connection.execute(_unclaimed, {"before": before})]


async def live_replicas(connection: AsyncConnection, *, at: int, hold_others: bool = False) -> list[LiveReplica]:
    """The replicas whose lease has not lapsed `at` this moment, oldest first.

    `hold_others`: no process can begin or renew a lease until the transaction ends, so the list
    is complete. Reads the columns of 0003 and no later ones, as migrations use it.
    """
    if hold_others and connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE replicas IN SHARE MODE"))
    return [LiveReplica(*row) for row in await connection.execute(_live, {"at": at})]


_live = select(_r.host, _r.process_id, _r.revision, _r.release).where(_r.lease_until >= bindparam("at")).order_by(_r.id)
_unclaimed = (
    select(_s.definition, _s.version, func.count())
    .join_from(replicas, sagas, _s.replica == _r.id)
    .where(_s.finished_at.is_(None), _r.lease_until < bindparam("before"))
    .group_by(_s.definition, _s.version)
)
_held = (
    select(
        _s.replica,
        func.count().label("sagas"),
        func.count().filter(_s.due_at <= bindparam("now", type_=_s.due_at.type)).label("overdue"),
        func.min(_s.due_at).label("oldest_due_at"),
    )
    # Repeats the condition of the partial indexes, so that finished sagas are not scanned.
    .where(text(f"sagas.{ACTIVE}"))
    .group_by(_s.replica)
    .subquery("held")
)
_listed = (
    select(
        _r.id,
        _r.host,
        _r.process_id,
        _r.started_at,
        _r.lease_until,
        _r.release,
        _r.revision,
        func.coalesce(_held.c.sagas, 0),
        func.coalesce(_held.c.overdue, 0),
        _held.c.oldest_due_at,
    )
    .select_from(replicas.outerjoin(_held, _held.c.replica == _r.id))
    .order_by(_r.lease_until.desc(), _r.id.desc())
    .limit(REPLICAS_LISTED_MAX)
)
