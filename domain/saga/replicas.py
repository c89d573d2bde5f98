"""The owner of each saga: leases in time, and the takeover of sagas from lapsed replicas."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, delete, exists, false, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, monotonic_now
from domain.errors import CommitUnknownError
from domain.ids import new_id
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.counting import count_for_the_gone, is_any_uncounted
from domain.saga.roster import UnclaimedSagas, list_unclaimed
from domain.saga.tables import FOREVER, replicas, sagas
from domain.storage import AnyRow, Database, Query, Sweep, any_of

__all__ = ["CLAIM_SAGAS_MAX", "LEASE_SECONDS_MAX", "Claim", "Replica", "end_leases"]

CLAIM_SAGAS_MAX: Final = 256
#: Of sagas that only wait, as no turn looks at them.
CLAIM_RESTING_MAX: Final = 4_096
#: How many sagas one search for claimable ones finds, of each kind.
CLAIMABLE_SAGAS_MAX: Final = 16_384
#: No lease lasts longer: one that ends later was written before the database's clock was set back.
LEASE_SECONDS_MAX: Final = 300.0
REPLICA_KEPT_SECONDS: Final = 86_400.0
REPLICAS_PRUNED_MAX: Final = 1_000
_r = replicas.c
_s = sagas.c


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim took over: `sagas` to look at, and a number of `resting` ones, which their due time wakes.

    `is_last`: nothing was left to take over.
    """

    sagas: list[str]
    resting: int = 0
    is_last: bool = True


class Replica:
    """This process's boot ID and lease.

    `known` are the (name, version) pairs of the definitions that this process can run; other sagas
    are left for a replica that can. `release` and `revision` are written for others, as in
    ReplicaView.
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
        #: Claimed sagas whose commit has no known outcome, with their former owners.
        self._doubtful: dict[str, str] = {}
        #: Leases that end later than any lease can: their values when first seen, and the time of that.
        self._ahead: dict[str, tuple[int, int]] = {}
        self.release = release
        self._revision = revision
        self.lease_seconds = lease_seconds
        self._database = database
        self._points = points or CommitPoints()
        is_known = or_(
            false(), *(and_(_s.definition == name, _s.version == version) for name, version in sorted(known))
        )
        # Excludes sagas that only another release can run: they are no reason for a transaction a second.
        self._lapsed = Query(
            select(_r.id)
            .where(_r.lease_until < bindparam("now"), _r.id != bindparam("me"), _owns.where(is_known))
            .order_by(_r.id)
        )
        self._too_far = Query(
            select(_r.id, _r.lease_until)
            .where(_r.lease_until > bindparam("beyond"), _r.id != bindparam("me"), _owns.where(is_known))
            .order_by(_r.id)
        )
        claimable = select(_s.id).where(_s.finished_at.is_(None), _s.replica == bindparam("lapsed"), is_known)
        self._claimable = Query(claimable.where(_s.awaits.is_(None)).order_by(_s.id).limit(CLAIMABLE_SAGAS_MAX))
        self._resting = Query(claimable.where(_s.awaits.is_not(None)).order_by(_s.id).limit(CLAIMABLE_SAGAS_MAX))
        #: What the last search has found and no claim has tried: those that do not wait, and those that do.
        self._found: tuple[list[str], list[str]] = ([], [])
        #: Sagas that were passed over since the last search, as taking them over fails, each with the reason.
        self.unclaimable: dict[str, str] = {}

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
                # The lease lapsed, others took over all our sagas, and the row was removed.
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
                release=self.release,
                revision=self._revision,
                counted_until=FOREVER,
            )
        )

    async def resign(self) -> None:
        """Let the lease lapse now, so that others can take the remaining sagas over at once."""

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            await connection.execute(update(replicas).where(_r.id == self.id).values(lease_until=now - 1))

        await self._database.write(work)

    async def claim(self) -> Claim:
        """Take over sagas of lapsed replicas, with a raised epoch: at most 256, or at most 4,096 that only wait.

        Guarantee: one replica claims each saga; from the commit on, the former owner's fence does not
        return it. If the answer to the commit is lost (CommitUnknownError), a later claim returns those
        that turn out to be ours. A saga that cannot be taken over does not stop the others; it is listed
        in `unclaimable`. Sagas that only wait come last, and cost no turn.
        """
        settled = await self._settle_doubtful()

        async def look(connection: AsyncConnection) -> tuple[bool, Sequence[AnyRow]]:
            now = await self._database.clock.now(connection)
            lapsed = await self._lapsed.first(connection, now=now, me=self.id) is not None
            return lapsed, await self._too_far(connection, beyond=_beyond(now), me=self.id)

        lapsed, too_far = await self._database.read(look)
        dead = self._unmoved(too_far)
        if dead:
            await self._database.write(partial(self._end_too_far, dead))
        if not (lapsed or dead):
            self._found = ([], [])
            self.unclaimable = {}
            return Claim(settled)
        if not any(self._found):
            self.unclaimable = {}
            self._found = await self._database.read(self._claimables)
        moving, resting = self._found
        found, most = (moving, CLAIM_SAGAS_MAX) if moving else (resting, CLAIM_RESTING_MAX)
        batch, found[:most] = found[:most], []
        claimed: dict[str, _Taken] = {}

        async def take(saga_ids: Sequence[str]) -> None:
            claimed.update(await self._take(saga_ids))

        sweep = Sweep("saga")
        try:
            await sweep.batch(batch, take)
        except Exception:
            # Other parts of the batch may have committed: the next claim returns their sagas.
            self._doubtful |= {id_: taken.former for id_, taken in claimed.items()}
            raise
        self.unclaimable |= sweep.faults
        for saga_id in claimed:
            self._doubtful.pop(saga_id, None)
        to_look_at = [saga_id for saga_id, taken in claimed.items() if not taken.rests]
        # A short batch was all that there is; one of which nothing could be taken over is all that is left.
        is_last = not any(self._found) and (len(batch) < most or not claimed)
        return Claim(settled + to_look_at, len(claimed) - len(to_look_at), is_last)

    async def _claimables(self, connection: AsyncConnection) -> tuple[list[str], list[str]]:
        """Sagas of lapsed replicas: those that do not wait, and those that do.

        A plain read and so only a hint: `_take` decides.
        """
        now = await self._database.clock.now(connection)
        moving: list[str] = []
        resting: list[str] = []
        for lapsed in await self._lapsed.column(connection, now=now, me=self.id):
            moving += await self._claimable.column(connection, lapsed=lapsed)
            resting += await self._resting.column(connection, lapsed=lapsed)
            if max(len(moving), len(resting)) >= CLAIMABLE_SAGAS_MAX:
                break
        return moving, resting

    async def _take(self, saga_ids: Sequence[str]) -> dict[str, _Taken]:
        """Own, in one transaction, those of `saga_ids` whose lease has lapsed; return them with their former owners."""
        taken: dict[str, _Taken] = {}

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            taken.clear()
            rows = await connection.execute(_takeable, {"ids": saga_ids, "now": now, "me": self.id})
            taken.update({row.id: _Taken(row.replica, _rests(row, now)) for row in rows})
            if taken:
                await connection.execute(_take, {"me": self.id, "ids_": list(taken)})
            self._points.reach(CommitPoint.CLAIM_BEFORE_COMMIT)

        try:
            await self._database.write(work)
            self._points.reach(CommitPoint.CLAIM_AFTER_COMMIT)
        except CommitUnknownError:
            self._doubtful |= {id_: each.former for id_, each in taken.items()}
            raise
        return taken

    async def _end_too_far(self, dead: Sequence[str], connection: AsyncConnection) -> None:
        now = await self._database.clock.now(connection)
        await connection.execute(_end_too_far, {"ids_": dead, "beyond": _beyond(now), "ended": now - 1})

    def _unmoved(self, too_far: Sequence[AnyRow]) -> list[str]:
        """Of the leases that end later than any lease can, those that were not renewed for the length of our lease.

        Their replicas are dead: a live one renews its lease several times in that time, by the present clock.
        """
        now = monotonic_now()
        seen = {row.id: (row.lease_until, now) for row in too_far}
        for replica_id, (lease_until, _) in seen.items():
            before = self._ahead.get(replica_id)
            if before is not None and before[0] == lease_until:
                seen[replica_id] = before
        self._ahead = seen
        return [id_ for id_, (_, since) in seen.items() if now - since >= self.lease_seconds * SECOND]

    async def _settle_doubtful(self) -> list[str]:
        """The sagas that are ours, of those whose claim had no answer; forgets these, and those of another owner."""
        if not self._doubtful:
            return []
        rows = await self._database.read(partial(_owners, ids=list(self._doubtful)))
        ours = [row.id for row in rows if row.replica == self.id]
        # If the former owner is still set, the commit may be waiting for a standby.
        waiting = {row.id for row in rows if row.replica == self._doubtful[row.id]}
        self._doubtful = {id_: former for id_, former in self._doubtful.items() if id_ in waiting}
        return ours

    async def unclaimed(self) -> list[UnclaimedSagas]:
        """Sagas without a new owner long after their replica's lease lapsed: no live replica knows their version."""

        async def work(connection: AsyncConnection) -> list[UnclaimedSagas]:
            return await list_unclaimed(connection, await self._database.clock.now(connection))

        return await self._database.read(work)

    async def count_for_the_gone(self) -> int:
        """Count the sagas that ended on replicas of releases before the statistics; return how many of these are gone.

        If there is none, it only reads.
        """

        async def look(connection: AsyncConnection) -> bool:
            return await is_any_uncounted(connection, await self._database.clock.now(connection))

        async def work(connection: AsyncConnection) -> int:
            return await count_for_the_gone(connection, await self._database.clock.now(connection))

        return await self._database.write(work) if await self._database.read(look) else 0

    async def prune(self) -> int:
        """Remove the rows of replicas whose lease lapsed a day ago and that own nothing; return how many.

        A paused process may resume and start a saga before it renews its lease. Its row must still
        exist then, or the saga would never be taken over. Raises PassedOverError, with all others
        removed, if one cannot be removed.
        """
        sweep = Sweep("replica")

        async def lapsed_long_ago(connection: AsyncConnection) -> list[str]:
            now = await self._database.clock.now(connection)
            return await _gone.column(connection, before=now - round(REPLICA_KEPT_SECONDS * SECOND), me=self.id)

        async def remove(ids: Sequence[str]) -> int:
            async def work(connection: AsyncConnection) -> int:
                now = await self._database.clock.now(connection)
                before = now - round(REPLICA_KEPT_SECONDS * SECOND)
                return (await connection.execute(_remove, {"ids": ids, "before": before, "me": self.id})).rowcount

            return await self._database.write(work)

        sweep.done = sum(await sweep.batch(await self._database.read(lapsed_long_ago), remove))
        return sweep.end()


class _Taken(NamedTuple):
    """A saga that was taken over: its former owner, and whether it only waits."""

    former: str
    rests: bool


def _rests(row: AnyRow, now: int) -> bool:
    """Whether nothing but its due time wakes the saga: no call is out, and no word or other signal stands.

    A signal has made it due, but the clock may have been set back since.
    """
    signals = (row.word_at, row.cancel_requested_at, row.hold_expired_at, row.retry_requested_at)
    is_due = row.due_at is None or row.due_at <= now or any(at is not None for at in signals)
    return row.awaits is not None and not is_due


def _beyond(now: int) -> int:
    return now + round(LEASE_SECONDS_MAX * SECOND)


async def end_leases(connection: AsyncConnection, now: int) -> None:
    """Let every lease lapse now, so that the next process takes all sagas over; only while no process can be alive."""
    await connection.execute(update(replicas).where(_r.lease_until >= now).values(lease_until=now - 1))


_owners = Query(select(_s.id, _s.replica).where(any_of(_s.id, "ids"), _s.finished_at.is_(None)))
_owns = exists().where(_s.finished_at.is_(None), _s.replica == _r.id)
_end_too_far = (
    update(replicas)
    .where(any_of(_r.id, "ids_"), _r.lease_until > bindparam("beyond"))
    .values(lease_until=bindparam("ended"))
)
_takeable = (
    select(
        _s.id,
        _s.replica,
        _s.awaits,
        _s.due_at,
        _s.word_at,
        _s.cancel_requested_at,
        _s.hold_expired_at,
        _s.retry_requested_at,
    )
    .where(
        any_of(_s.id, "ids"),
        _s.finished_at.is_(None),
        _s.replica.in_(select(_r.id).where(_r.lease_until < bindparam("now"), _r.id != bindparam("me"))),
    )
    .order_by(_s.id)
    .with_for_update(of=sagas, skip_locked=True)
)
_take = update(sagas).where(any_of(_s.id, "ids_")).values(replica=bindparam("me"), epoch=_s.epoch + 1)
_is_gone = and_(_r.lease_until < bindparam("before", type_=BigInteger), _r.id != bindparam("me"), ~_owns)
_gone = Query(select(_r.id).where(_is_gone).order_by(_r.id).limit(REPLICAS_PRUNED_MAX))
# Skips rows that another replica is removing, so that neither waits.
_remove = delete(replicas).where(
    _r.id.in_(
        select(_r.id)
        .where(any_of(_r.id, "ids"), _is_gone)
        .order_by(_r.id)
        .with_for_update(of=replicas, skip_locked=True)
    )
)
