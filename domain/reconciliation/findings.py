"""Stores what was found: a finding begins at the first look with the difference, and ends at the first without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import new_id
from domain.money import Money
from domain.reconciliation.differences import Difference, Ending, Finding
from domain.reconciliation.judging import Judged, Verdict
from domain.reconciliation.tables import OPEN, payment_findings
from domain.storage import AnyRow, BulkInsert, BulkUpdate, any_of, is_known

__all__ = ["FINDINGS_PAGE_MAX", "Changes", "OpenTotals", "end", "open_findings", "open_totals", "raise_round", "store"]

FINDINGS_PAGE_MAX: Final = 100
_f = payment_findings.c
_OPEN: Final = text(OPEN)
_insert = BulkInsert(
    payment_findings,
    *(_f.id, _f.provider, _f.reference, _f.kind, _f.correlation_id, _f.saga_id, _f.at_stake_minor, _f.currency),
    *(_f.detail, _f.round, _f.first_seen_at, _f.last_seen_at),
    skip_existing=True,
    returned=_f.id,
)
_see = BulkUpdate(
    payment_findings,
    key=(_f.id,),
    change=(_f.at_stake_minor, _f.currency, _f.detail, _f.last_seen_at),
    guard=f"payment_findings.{OPEN}",
)
_end = BulkUpdate(payment_findings, key=(_f.id,), change=(_f.ended_at, _f.ending), guard=f"payment_findings.{OPEN}")
_AT: Final = select(payment_findings).where(
    _OPEN, _f.provider == bindparam("provider"), any_of(_f.reference, "references")
)
_TOTALS: Final = (
    select(_f.kind, _f.currency, func.count().label("number"), func.sum(_f.at_stake_minor).label("minor"))
    .where(_OPEN, is_known(_f.kind, Difference))
    .group_by(_f.kind, _f.currency)
)


@dataclass(frozen=True, slots=True)
class OpenTotals:
    """The open findings of one kind in one currency: how many, and the money at stake."""

    kind: Difference
    findings: int
    at_stake: Money


@dataclass(slots=True)
class Changes:
    """What a look has changed. `mendable`: the findings, new or known, that may be mended."""

    new: list[Finding] = field(default_factory=list)
    ended: list[Finding] = field(default_factory=list)
    mendable: list[Finding] = field(default_factory=list)


async def store(connection: AsyncConnection, provider: str, verdicts: Iterable[Verdict], *, at: int) -> Changes:
    """Begin, renew and end findings by these verdicts, one a reference, seen at this moment."""
    verdicts = list(verdicts)
    known = await _open_at(connection, provider, [verdict.reference for verdict in verdicts])
    changes, added, seen = Changes(), list[Finding](), list[Finding]()
    for verdict in verdicts:
        before = known.get(verdict.reference, {})
        for judged in verdict.found:
            old = before.get(judged.kind)
            finding = _begun(provider, verdict, judged, at) if old is None else _renewed(old, judged, at)
            (added if old is None else seen).append(finding)
            if judged.is_mendable:
                changes.mendable.append(finding)
        shown = {judged.kind for judged in verdict.found}
        changes.ended += [
            replace(finding, ended_at=at, ending=Ending.AGREES)
            for kind, finding in before.items()
            if kind in verdict.kinds and kind not in shown
        ]
    # The driver's own type of an ID on PostgreSQL. One that is missing was just found by another process.
    inserted = {str(id_) for id_ in await _insert.returning(connection, [_row(finding) for finding in added])}
    lost = {finding.id for finding in added} - inserted
    changes.new = [finding for finding in added if finding.id not in lost]
    changes.mendable = [finding for finding in changes.mendable if finding.id not in lost]
    await _see(connection, [(f.id, f.at_stake.minor, f.at_stake.currency, f.detail, f.last_seen_at) for f in seen])
    await _end(connection, [(finding.id, at, Ending.AGREES.value) for finding in changes.ended])
    return changes


async def end(connection: AsyncConnection, finding: Finding, ending: Ending, *, at: int) -> bool:
    """End the finding; whether it was open."""
    return bool(await _end(connection, [(finding.id, at, ending.value)]))


async def raise_round(connection: AsyncConnection, finding: Finding) -> None:
    """Mend it under new keys from now on: those of its round are spent."""
    await connection.execute(
        update(payment_findings).where(_f.id == finding.id, _f.round == finding.round).values(round=finding.round + 1)
    )


async def open_findings(
    connection: AsyncConnection, provider: str, *, after: str | None = None, limit: int
) -> list[Finding]:
    """The open findings behind the ID `after`, oldest first, at most `limit`; those of an unknown kind are left out."""
    statement = (
        select(payment_findings)
        .where(_OPEN, _f.provider == provider, is_known(_f.kind, Difference))
        .order_by(_f.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(_f.id > after)
    return [_finding(row) for row in await connection.execute(statement)]


async def open_totals(connection: AsyncConnection) -> list[OpenTotals]:
    """The open findings by kind and currency."""
    rows = await connection.execute(_TOTALS)
    return [OpenTotals(Difference(kind), number, Money(int(minor), currency)) for kind, currency, number, minor in rows]


async def _open_at(
    connection: AsyncConnection, provider: str, references: Sequence[str]
) -> Mapping[str, dict[Difference, Finding]]:
    """The open findings of these references, by reference and kind."""
    found: dict[str, dict[Difference, Finding]] = {}
    rows = await connection.execute(_AT, {"provider": provider, "references": references})
    for row in rows:
        if row.kind in set(Difference):
            found.setdefault(row.reference, {})[Difference(row.kind)] = _finding(row)
    return found


def _begun(provider: str, verdict: Verdict, judged: Judged, at: int) -> Finding:
    return Finding(
        id=new_id(),
        provider=provider,
        reference=verdict.reference,
        kind=judged.kind,
        correlation_id=verdict.correlation_id,
        saga_id=verdict.saga_id,
        at_stake=judged.at_stake,
        detail=judged.detail,
        round=1,
        first_seen_at=at,
        last_seen_at=at,
    )


def _renewed(finding: Finding, judged: Judged, at: int) -> Finding:
    return replace(finding, at_stake=judged.at_stake, detail=judged.detail, last_seen_at=at)


def _row(finding: Finding) -> tuple[object, ...]:
    return (
        *(finding.id, finding.provider, finding.reference, finding.kind.value),
        *(finding.correlation_id, finding.saga_id, finding.at_stake.minor, finding.at_stake.currency),
        *(finding.detail, finding.round, finding.first_seen_at, finding.last_seen_at),
    )


def _finding(row: AnyRow) -> Finding:
    return Finding(
        id=row.id,
        provider=row.provider,
        reference=row.reference,
        kind=Difference(row.kind),
        correlation_id=row.correlation_id,
        saga_id=row.saga_id,
        at_stake=Money(row.at_stake_minor, row.currency),
        detail=row.detail,
        round=row.round,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        ended_at=row.ended_at,
        ending=Ending(row.ending) if row.ending in set(Ending) else None,
    )
