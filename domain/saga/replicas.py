"""Which process owns which saga: leases in time, and the takeover of what a lapsed one owned."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import and_, bindparam, delete, exists, false, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.errors import CommitUnknownError
from domain.ids import new_id
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.tables import ACTIVE, replicas, sagas
from domain.storage import AnyRow, Database, Query, any_of

__all__ = [
    "CLAIM_SAGAS_MAX",
    "REPLICAS_LISTED_MAX",
    "LiveReplica",
    "Replica",
    "ReplicaView",
    "UnclaimedSagas",
    "end_leases",
    "list_replicas",
    "list_unclaimed",
    "live_replicas",
]

CLAIM_SAGAS_MAX: Final = 256
#: After how long without an owner sagas are announced.
UNCLAIMED_SECONDS: Final = 60.0
REPLICA_KEPT_SECONDS: Final = 86_400.0
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


class Replica:
    """This process's boot id and lease.

    `known` are the (name, version) pairs of the definitions that this process can run; a saga
    of any other is left for a replica that can. `release` and `revision` are told to others, as
    in ReplicaView.
    """

    def __init__(
        self,
        database: Database,
        known: Iterable[tuple[str, int]],
        *,
        lease_seconds: float,
        release: str | None = None,
        revision: str | None = None,
        points: CommitPoints | None = None,
    ) -> None:
        self.id = new_id()
        #: Sagas whose claim was committed, or was not, with their former owners.
        self._doubtful: dict[str, str] = {}
        self._release = release
        self._revision = revision
        self.lease_seconds = lease_seconds
        self._database = database
        self._points = points or CommitPoints()
        is_known = or_(
            false(), *(and_(_s.definition == name, _s.version == version) for name, version in sorted(known))
        )
        # Sagas that only another can run are no reason to open a transaction once a second.
        self._lapsed = Query(
            select(_r.id)
            .where(_r.lease_until < bindparam("now"), _r.id != bindparam("me"), _owns.where(is_known))
            .order_by(_r.id)
        )
        self._claimable = (
            select(_s.id)
            .where(_s.finished_at.is_(None), _s.replica == bindparam("lapsed"), is_known)
            .order_by(_s.id)
            .limit(CLAIM_SAGAS_MAX)
            .with_for_update(skip_locked=True)
        )

    async def register(self, *, alone: bool = False) -> None:
        """Begin the lease. `alone`: no other process can be alive on this database, so all other leases lapse now."""

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            if alone:
                await end_leases(connection, now)
            await self._begin_lease(connection, now)

        await self._database.write(work)

    async def renew(self) -> None:
        """Extend the lease from now by the database's clock."""

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            until = now + round(self.lease_seconds * SECOND)
            renewed = await connection.execute(update(replicas).where(_r.id == self.id).values(lease_until=until))
            if not renewed.rowcount:
                # It lapsed, everything of ours was taken over, and the row was removed.
                await self._begin_lease(connection, now)

        await self._database.write(work)

    async def _begin_lease(self, connection: AsyncConnection, now: int) -> None:
        await connection.execute(
            insert(replicas).values(
                id=self.id,
                host=socket.gethostname(),
                process_id=os.getpid(),
                started_at=now,
                lease_until=now + round(self.lease_seconds * SECOND),
                release=self._release,
                revision=self._revision,
            )
        )

    async def resign(self) -> None:
        """Let the lease lapse now, so that others need not wait for what is left."""

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            await connection.execute(update(replicas).where(_r.id == self.id).values(lease_until=now - 1))

        await self._database.write(work)

    async def claim(self) -> list[str]:
        """Take over, with a raised epoch, sagas of replicas whose lease has lapsed; at most 256 of them.

        Guarantee: each saga is claimed by one replica; its former owner's fence no longer
        returns it from the commit on. Returns the saga ids. Where the answer to the commit is lost
        (CommitUnknownError), a later claim returns those that turn out to be ours.
        """
        settled = await self._settle_doubtful()

        async def look(connection: AsyncConnection) -> bool:
            now = await self._database.clock.now(connection)
            return await self._lapsed.first(connection, now=now, me=self.id) is not None

        if not await self._database.read(look):
            return settled
        claimed: dict[str, str] = {}

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            claimed.clear()
            for lapsed in await self._lapsed.column(connection, now=now, me=self.id):
                ids = (await connection.execute(self._claimable, {"lapsed": lapsed})).scalars().all()
                if ids:
                    await connection.execute(_take, {"me": self.id, "ids_": list(ids)})
                    claimed.update(dict.fromkeys(ids, lapsed))
                if len(claimed) >= CLAIM_SAGAS_MAX:
                    break
            self._points.reach(CommitPoint.CLAIM_BEFORE_COMMIT)

        try:
            await self._database.write(work)
            self._points.reach(CommitPoint.CLAIM_AFTER_COMMIT)
        except CommitUnknownError:
            self._doubtful |= claimed
            raise
        for saga_id in claimed:
            self._doubtful.pop(saga_id, None)
        return settled + list(claimed)

    async def _settle_doubtful(self) -> list[str]:
        """Which of the sagas whose claim had no answer are ours; forgets these, and those that are another's."""
        if not self._doubtful:
            return []
        rows = await self._database.read(partial(_owners, ids=list(self._doubtful)))
        ours = [row.id for row in rows if row.replica == self.id]
        # With their former owner still, the commit may be waiting for a standby.
        waiting = {row.id for row in rows if row.replica == self._doubtful[row.id]}
        self._doubtful = {id_: former for id_, former in self._doubtful.items() if id_ in waiting}
        return ours

    async def unclaimed(self) -> list[UnclaimedSagas]:
        """Sagas that nobody has taken over for long since their replica's lease lapsed: nobody knows their version."""

        async def work(connection: AsyncConnection) -> list[UnclaimedSagas]:
            return await list_unclaimed(connection, await self._database.clock.now(connection))

        return await self._database.read(work)

    async def prune(self) -> int:
        """Remove the rows of replicas whose lease lapsed a day ago and that own nothing; returns how many.

        A process that was paused may wake and start a saga before it renews its lease: until
        then its row must be there, or nobody would ever take that saga over.
        """

        async def work(connection: AsyncConnection) -> int:
            now = await self._database.clock.now(connection)
            before = now - round(REPLICA_KEPT_SECONDS * SECOND)
            # What another replica is removing is left to it, so that nobody waits.
            gone = (
                select(_r.id)
                .where(_r.lease_until < before, ~_owns)
                .order_by(_r.id)
                .with_for_update(of=replicas, skip_locked=True)
            )
            return (await connection.execute(delete(replicas).where(_r.id.in_(gone)))).rowcount

        return await self._database.write(work)


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


async def end_leases(connection: AsyncConnection, now: int) -> None:
    """Let every lease lapse now, so that whoever comes takes all sagas over; for when no process can be alive."""
    await connection.execute(update(replicas).where(_r.lease_until >= now).values(lease_until=now - 1))


async def live_replicas(connection: AsyncConnection, *, at: int, hold_others: bool = False) -> list[LiveReplica]:
    """The replicas whose lease runs `at` this moment, oldest first.

    `hold_others`: until the transaction ends, no process can begin or renew a lease; so there is
    none besides these. Reads the columns of 0003 and no later ones, as migrations ask it.
    """
    if hold_others and connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE replicas IN SHARE MODE"))
    return [LiveReplica(*row) for row in await connection.execute(_live, {"at": at})]


_live = select(_r.host, _r.process_id, _r.revision).where(_r.lease_until >= bindparam("at")).order_by(_r.id)
_owners = Query(select(_s.id, _s.replica).where(any_of(_s.id, "ids"), _s.finished_at.is_(None)))
_owns = exists().where(_s.finished_at.is_(None), _s.replica == _r.id)
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
_take = update(sagas).where(any_of(_s.id, "ids_")).values(replica=bindparam("me"), epoch=_s.epoch + 1)
