"""An operator's pause of a provider: stored, so that it holds on every replica and after a restart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked, reason_fault
from domain.guard.tables import provider_controls
from domain.operators import OperatorActionKind, record
from domain.storage import AnyRow, BulkInsert, Database, Query

__all__ = ["InvalidReason", "Pause", "ProviderControls"]

_c = provider_controls.c
_insert = BulkInsert(provider_controls, _c.provider, _c.updated_at, skip_existing=True)
_paused: Final = Query(
    select(_c.paused_at, _c.paused_by, _c.reason).where(_c.provider == bindparam("provider"), _c.paused)
)
_locked = (
    select(_c.paused_at, _c.paused_by, _c.reason, _c.paused)
    .where(_c.provider == bindparam("provider"))
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator's pause, since `at` (microseconds by the database's clock)."""

    at: int
    by: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class InvalidReason:
    """The reason is not valid, or is missing; the message says why."""

    message: str


class ProviderControls:
    """The stored word on one provider. A word that changes nothing is not recorded."""

    def __init__(self, database: Database, provider: str) -> None:
        self._database = database
        self.provider = provider

    async def pause_of(self, connection: AsyncConnection) -> Pause | None:
        """The pause that stands, as this transaction sees it."""
        return _pause(await _paused.first(connection, provider=self.provider))

    async def pause(self, asked: Asked) -> Pause | InvalidReason:
        """Send nothing to the provider until it is resumed, on every replica. A second pause changes nothing.

        Durable when this returns; replicas hear of it within about a second.
        """
        answer = await self._change(asked, OperatorActionKind.PROVIDER_PAUSE, paused=True)
        assert answer is not None, "a pause leaves a pause"
        return answer

    async def resume(self, asked: Asked) -> InvalidReason | None:
        """Let calls go to the provider again, a few at first."""
        answer = await self._change(asked, OperatorActionKind.PROVIDER_RESUME, paused=False)
        return answer if isinstance(answer, InvalidReason) else None

    async def _change(self, asked: Asked, kind: OperatorActionKind, *, paused: bool) -> Pause | InvalidReason | None:
        fault = reason_fault(asked.reason or "")
        if fault is not None:
            return InvalidReason(fault)
        asked = replace(asked, reason=(asked.reason or "").strip())

        async def work(connection: AsyncConnection) -> Pause | None:
            now = await self._database.clock.now(connection)
            await _insert(connection, [(self.provider, now)])
            row = (await connection.execute(_locked, {"provider": self.provider})).one()
            before = _pause(row) if row.paused else None
            if (before is not None) is paused:
                return before
            after = Pause(now, asked.by.subject, asked.reason or "") if paused else None
            await connection.execute(
                update(provider_controls).where(_c.provider == self.provider).values(**_values(after), updated_at=now)
            )
            await record(
                connection,
                asked,
                kind,
                at=now,
                before=f"{self.provider}: {_line(before)}",
                after=f"{self.provider}: {_line(after)}",
            )
            return after

        return await self._database.write(work)


def _pause(row: AnyRow | None) -> Pause | None:
    return None if row is None else Pause(row.paused_at, row.paused_by, row.reason)


def _values(pause: Pause | None) -> dict[str, Any]:
    if pause is None:
        return {"paused": False, "paused_at": None, "paused_by": None, "reason": None}
    return {"paused": True, "paused_at": pause.at, "paused_by": pause.by, "reason": pause.reason}


def _line(pause: Pause | None) -> str:
    """The state, for the record."""
    return "on" if pause is None else f"paused by {pause.by}"
