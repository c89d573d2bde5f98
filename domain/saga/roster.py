"""Who serves the database: every process that has a row, what each holds, and what nobody does. It only reads."""

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

#: After how long without an owner sagas are announced.
UNCLAIMED_SECONDS: Final = 60.0
REPLICAS_LISTED_MAX: Final = 200
_r = replicas.c
_s = sagas.c


@dataclass(frozen=True, slots=True)
class ReplicaView:
    """A process that has served this database, and what it holds. Times are microseconds since the epoch.

    `release`: its software's version; `revision`: the newest one of the schema that it knows.
    None of both: it is of a release from before they were written.
    """

    id: str
    host: str
    process_id: int
    started_at: int
    lease_until: int
    release: str | None
    revision: str | None
    sagas: int
    """How many sagas it owns that are not over."""
    overdue: int
    """How many of these wait to be looked at since a moment that has passed."""
    oldest_due_at: int | None
    """The earliest moment at which one of these is due, whether or not it has passed."""

    def is_alive(self, now: int) -> bool:
        """Whether its lease still runs."""
        return self.lease_until > now

    def lag_us(self, now: int) -> int:
        """For how long the saga that is due since longest has waited; 0 where none is overdue."""
        return max(0, now - self.oldest_due_at) if self.oldest_due_at is not None else 0


@dataclass(frozen=True, slots=True)
class LiveReplica:
    """A process whose lease runs, and the newest revision of the schema that it knows, if it says so."""

    host: str
    process_id: int
    revision: str | None


@dataclass(frozen=True, slots=True)
class UnclaimedSagas:
    """So many sagas of a definition's version wait for a process that knows it."""

    definition: str
    version: int
    sagas: int


async def list_replicas(connection: AsyncConnection, now: int) -> list[ReplicaView]:
    """The replicas that are alive, then those that lapsed last; at most REPLICAS_LISTED_MAX of them. One statement.

    What it costs is measured by the sagas that are not over, however many there have been.
    """
    rows: Sequence[AnyRow] = (await connection.execute(_listed, {"now": now})).all()
    return [ReplicaView(*row) for row in rows]


async def list_unclaimed(connection: AsyncConnection, now: int) -> list[UnclaimedSagas]:
    """Sagas that nobody has taken over for long since their replica's lease lapsed: nobody knows their version."""
    before = now - round(UNCLAIMED_SECONDS * SECOND)
    return [UnclaimedSagas(*row) for row in await connection.execute(_unclaimed, {"before": before})]


async def live_replicas(connection: AsyncConnection, *, at: int, hold_others: bool = False) -> list[LiveReplica]:
    """The replicas whose lease runs `at` this moment, oldest first.

    `hold_others`: until the transaction ends, no process can begin or renew a lease; so there is
    none besides these. Reads the columns of 0003 and no later ones, as migrations ask it.
    """
    if hold_others and connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE replicas IN SHARE MODE"))
    return [LiveReplica(*row) for row in await connection.execute(_live, {"at": at})]


_live = select(_r.host, _r.process_id, _r.revision).where(_r.lease_until >= bindparam("at")).order_by(_r.id)
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
    # In the words of the partial indexes, so that sagas that are over are not gone through.
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
