"""Stuck and parked sagas, grouped by cause and place in the database."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import BigInteger, and_, case, func, literal_column, null, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.incidents.stakes import AT, money_minor, points, seats, with_payment
from domain.money import Money
from domain.payments.tables import payments
from domain.saga import Direction, SagaStatus, SagaView, by_ids
from domain.saga.tables import CODE_UNKNOWN, STUCK_SINCE, TROUBLED, saga_steps, sagas
from domain.storage import AnyRow, Query, page_of

__all__ = ["Incident", "incidents", "sagas_of"]

_s, _p, _t = sagas.c, payments.c, saga_steps.c


@dataclass(slots=True)
class Incident:
    """Sagas that share a cause at one place, and what is at stake in them; times in microseconds.

    `status` is STUCK or PARKED. `step`: where they stand, or whose `compensation` is stuck; None if the place cannot
    be read. A parked saga has no compensation here: it is parked at its step in either direction.
    """

    status: SagaStatus
    step: str | None
    compensation: str | None
    failure_code: str
    message: str
    oldest_since: int
    newest_since: int
    sagas: int = 0
    money: list[Money] = field(default_factory=list)
    points: int = 0
    seats: int = 0


_is_parked: Final = _s.status == SagaStatus.PARKED.value
_is_backward: Final = _s.direction == Direction.BACKWARD.value
#: One row a saga.
_STANDING: Final = (
    select(
        _s.id,
        _s.status,
        _t.name.label("step"),
        case((and_(~_is_parked, _is_backward), _t.compensation), else_=null()).label("compensation"),
        func.coalesce(
            case((_is_parked, _s.parked_code), (_is_backward, _t.undo_failure_code), else_=_t.failure_code),
            CODE_UNKNOWN,
        ).label("code"),
        case((_is_parked, _s.parked_reason), (_is_backward, _t.undo_failure_message), else_=_t.failure_message).label(
            "message"
        ),
        case(
            (_is_parked, func.coalesce(_s.parked_at, _s.updated_at)), else_=literal_column(STUCK_SINCE, BigInteger)
        ).label("since"),
        _s.updated_at,
        _p.currency,
        money_minor.label("minor"),
        points.label("points"),
        seats.label("seats"),
    )
    .select_from(with_payment.outerjoin(saga_steps, and_(_t.saga_id == _s.id, _t.position == _s.position)))
    # Repeats the partial index's condition.
    .where(text(f"sagas.{TROUBLED}"))
    .subquery("standing")
)
_x = _STANDING.c
_cause = (_x.status, _x.step, _x.compensation, _x.code)
#: The newest message of each cause has the number 1.
_NUMBERED: Final = select(
    _STANDING,
    func.row_number().over(partition_by=_cause, order_by=(_x.updated_at.desc(), _x.id.desc())).label("number"),
).subquery("numbered")
_n = _NUMBERED.c
_BY_CAUSE_AND_CURRENCY: Final = Query(
    select(
        _n.status,
        _n.step,
        _n.compensation,
        _n.code,
        _n.currency,
        func.max(case((_n.number == 1, _n.message), else_=null())).label("message"),
        func.min(_n.since).label("oldest_since"),
        func.max(_n.since).label("newest_since"),
        func.count().label("sagas"),
        func.sum(_n.minor).label("minor"),
        func.sum(_n.points).label("points"),
        func.sum(_n.seats).label("seats"),
    ).group_by(_n.status, _n.step, _n.compensation, _n.code, _n.currency)
)


async def incidents(connection: AsyncConnection, *, at: int) -> list[Incident]:
    """All incidents at this moment, the worst first. One statement."""
    found: dict[Any, Incident] = {}
    for row in await _BY_CAUSE_AND_CURRENCY(connection, at=at):
        key = (row.status, row.step, row.compensation, row.code)
        _add(found.setdefault(key, _begun(row)), row)
    return _worst_first(found.values())


async def sagas_of(
    connection: AsyncConnection, incident: Incident, *, after: str | None, limit: int, reverse: bool = False
) -> list[SagaView]:
    """The sagas of the incident as they stand, the first begun first, behind the ID `after`; at most `limit`.

    `reverse`: as `page_of`.
    """
    key = (incident.status.value, incident.step, incident.compensation, incident.failure_code)
    matching = select(_x.id).where(
        *(column.is_not_distinct_from(value) for column, value in zip(_cause, key, strict=True))
    )
    statement = page_of(matching, _x.id, after=after, limit=limit, reverse=reverse)
    ids = list((await connection.execute(statement, {AT: 0})).scalars())
    found = await by_ids(connection, ids)
    return [found[id_] for id_ in ids if id_ in found]


def _worst_first(incidents: Collection[Incident]) -> list[Incident]:
    """The most money first, then the most sagas, then the oldest.

    There are no exchange rates here, so each currency has an order of its own, and an incident counts by the best place
    that it has in any. An incident without money comes after all with money.
    """
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for incident in incidents:
        for money in incident.money:
            sums[money.currency].append(-money.amount)
    for amounts in sums.values():
        amounts.sort()

    def place(incident: Incident) -> tuple[int, int, int]:
        places = [bisect_left(sums[money.currency], -money.amount) for money in incident.money]
        return min(places, default=len(incidents)), -incident.sagas, incident.oldest_since

    return sorted(incidents, key=place)


def _begun(row: AnyRow) -> Incident:
    return Incident(
        status=SagaStatus(row.status),
        step=row.step,
        compensation=row.compensation,
        failure_code=row.code,
        message="",
        oldest_since=row.oldest_since,
        newest_since=row.newest_since,
    )


def _add(incident: Incident, row: AnyRow) -> None:
    """Add the sagas whose payment is in one currency, or that have none."""
    incident.message = row.message or incident.message
    incident.oldest_since = min(incident.oldest_since, row.oldest_since)
    incident.newest_since = max(incident.newest_since, row.newest_since)
    incident.sagas += row.sagas
    incident.points += int(row.points)
    incident.seats += int(row.seats)
    if row.minor:
        incident.money.append(Money(int(row.minor), row.currency))
        incident.money.sort(key=lambda money: (-money.amount, money.currency))
