"""Where a walk through the books stands: window, phase, page. Durable for the job, in memory for a command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.reconciliation.tables import reconciliation_walks
from domain.storage import AnyRow, BulkInsert

__all__ = ["SINCE_SECONDS_DEFAULT", "YOUNG_SECONDS", "Phase", "Walk", "begun_at", "claim", "move", "release"]

#: The newest that happened is left to the next walk.
YOUNG_SECONDS: Final = 300
#: The window of the first walk: as long as an authorization may stand.
SINCE_SECONDS_DEFAULT: Final = 7 * 86_400
#: A shorter window is left until it is longer, so that many replicas do not walk all the time.
WINDOW_SECONDS_MIN: Final = 60
#: A replica that has died at its page holds it no longer than this. A page takes seconds.
CLAIM_SECONDS_MAX: Final = 300
_w = reconciliation_walks.c
_insert = BulkInsert(
    reconciliation_walks,
    *(_w.provider, _w.since_at, _w.until_at, _w.phase, _w.after, _w.claimed_until),
    skip_existing=True,
)


class Phase(StrEnum):
    """What the walk looks at now, in this order."""

    FINDINGS = "FINDINGS"
    """The open findings, again."""
    PAYMENTS = "PAYMENTS"
    """The provider's payments that were created in the window."""
    REFUNDS = "REFUNDS"
    """The provider's payments of which money was given back in the window."""
    DISPUTES = "DISPUTES"
    """The provider's payments that were disputed in the window."""
    CHANGES = "CHANGES"
    """The provider's payments of which a refund or a dispute changed in the window."""
    OURS = "OURS"
    """Our payments whose saga, or cancellation, ended in the window."""
    ACTIVE = "ACTIVE"
    """Our payments whose saga has been under way for days."""

    @property
    def next(self) -> Phase | None:
        """The phase after this one; None after the last."""
        phases = list(Phase)
        later = phases[phases.index(self) + 1 :]
        return later[0] if later else None


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk through what happened from `since` on and before `until`; it stands behind `after` in `phase`.

    `phase` None: it is over. Times in microseconds.
    """

    since: int
    until: int
    phase: Phase | None = Phase.FINDINGS
    after: str | None = None

    def onward(self, after: str | None) -> Walk:
        """The walk behind a page: at the next one, which begins at `after`, or at the next phase if there is none."""
        if after is not None or self.phase is None:
            return replace(self, after=after)
        return replace(self, phase=self.phase.next, after=None)


async def begun_at(connection: AsyncConnection, provider: str) -> int | None:
    """Where the window of the job's present walk, or of its last one, begins; None before the first."""
    since: int | None = (
        await connection.execute(select(_w.since_at).where(_w.provider == provider))
    ).scalar_one_or_none()
    return since


async def claim(connection: AsyncConnection, provider: str, *, now: int) -> Walk | None:
    """Take the next page of the walk, for a while, for this process alone; begin a walk if it is time for one.

    None: another process is at a page, or there is nothing to look at yet.
    """
    row = (
        await connection.execute(select(reconciliation_walks).where(_w.provider == provider).with_for_update())
    ).first()
    if row is not None and _is_claimed(row, now):
        return None
    walk = _next(row, now)
    if walk is None:
        return None
    values = _values(walk) | {"claimed_until": now + CLAIM_SECONDS_MAX * SECOND}
    if row is None:
        # Another process may begin the first walk at this moment; there was no row to lock.
        return walk if await _insert(connection, [(provider, *values.values())]) else None
    await connection.execute(update(reconciliation_walks).where(_w.provider == provider).values(**values))
    return walk


async def move(connection: AsyncConnection, provider: str, before: Walk, after: Walk, *, now: int) -> None:
    """Keep that the walk has gone from `before` to `after`, unless another process has moved it meanwhile."""
    values = _values(after) | {"claimed_until": None}
    if after.phase is None:
        values["finished_at"] = now
    await connection.execute(
        update(reconciliation_walks)
        .where(
            _w.provider == provider,
            _w.until_at == before.until,
            _w.phase == (before.phase.value if before.phase else None),
            _w.after.is_not_distinct_from(before.after),
        )
        .values(**values)
    )


async def release(connection: AsyncConnection, provider: str) -> None:
    """Let others take the page that this process could not look at."""
    await connection.execute(update(reconciliation_walks).where(_w.provider == provider).values(claimed_until=None))


def _is_claimed(row: AnyRow, now: int) -> bool:
    # A claim from before the clock was set back holds no longer than others.
    return row.claimed_until is not None and now < row.claimed_until <= now + CLAIM_SECONDS_MAX * SECOND


def _next(row: AnyRow | None, now: int) -> Walk | None:
    until = now - YOUNG_SECONDS * SECOND
    if row is None:
        return Walk(until - SINCE_SECONDS_DEFAULT * SECOND, until)
    if row.phase in set(Phase):
        return Walk(row.since_at, row.until_at, Phase(row.phase), row.after)
    if row.phase is not None:
        # A phase of a newer release: go through the window again.
        return Walk(row.since_at, row.until_at)
    since = _began_after(row, now)
    return Walk(since, until) if until - since >= WINDOW_SECONDS_MIN * SECOND else None


def _began_after(row: AnyRow, now: int) -> int:
    """Where the next window begins: where the last one ended, unless that is not yet over.

    Then the clock was ahead and was set back, and what has happened since was in no window.
    """
    known: tuple[int, ...] = (row.until_at, row.since_at)
    return next((at for at in known if at <= now), now - (YOUNG_SECONDS + SINCE_SECONDS_DEFAULT) * SECOND)


def _values(walk: Walk) -> dict[str, object]:
    return {
        "since_at": walk.since,
        "until_at": walk.until,
        "phase": walk.phase.value if walk.phase else None,
        "after": walk.after,
    }
