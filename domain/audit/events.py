"""Reads the shape of each saga's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Slice, within
from domain.events import EventType
from domain.events.tables import saga_events

__all__ = ["SagaLog", "saga_logs"]

_e = saga_events.c
_extent = (
    select(
        _e.saga_id,
        func.min(_e.sequence).label("oldest"),
        func.max(_e.sequence).label("newest"),
        func.count().label("number"),
    )
    .where(within(_e.saga_id))
    .group_by(_e.saga_id)
    .subquery("extent")
)
_STREAMS: Final = select(_extent.c.saga_id, _extent.c.oldest, _extent.c.newest, _extent.c.number, _e.type).join(
    saga_events, and_(_e.saga_id == _extent.c.saga_id, _e.sequence == _extent.c.newest)
)


@dataclass(frozen=True, slots=True)
class SagaLog:
    """A saga's log: its oldest and newest sequence, the number of events, and the type of the newest."""

    oldest: int
    newest: int
    number: int
    last: EventType | None
    """None: a type that this release does not know."""

    @property
    def missing(self) -> int:
        """How many events between the oldest and the newest are missing."""
        return self.newest - self.oldest + 1 - self.number


async def saga_logs(connection: AsyncConnection, part: Slice) -> Mapping[str, SagaLog]:
    """The log of every saga of the slice that has one, by saga id."""
    rows = await connection.execute(_STREAMS, part.parameters)
    return {
        saga_id: SagaLog(oldest, newest, number, EventType(type_) if type_ in set(EventType) else None)
        for saga_id, oldest, newest, number, type_ in rows
    }
