"""Checks whether bulk actions are what their sagas and the record of operator actions say."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Finding, look
from domain.bulk.tables import bulk_action_sagas, bulk_actions
from domain.operators.tables import operator_actions
from domain.saga.tables import sagas

__all__ = ["check_bulk_actions"]

_a = bulk_actions.c
_t = bulk_action_sagas.c
_o = operator_actions.c


def _number(state: str) -> ColumnElement[int]:
    return case((_t.state == state, 1), else_=0)


_targets = (
    select(
        _t.bulk_action_id,
        func.count().label("matched"),
        func.sum(_number("DONE")).label("done"),
        func.sum(_number("PASSED_OVER")).label("passed_over"),
        func.sum(_number("PENDING")).label("pending"),
    )
    .group_by(_t.bulk_action_id)
    .subquery("targets")
)
_matched = func.coalesce(_targets.c.matched, 0)
_done = func.coalesce(_targets.c.done, 0)
_passed_over = func.coalesce(_targets.c.passed_over, 0)
_pending = func.coalesce(_targets.c.pending, 0)
_MISCOUNTED: Final = (
    select(_a.id, _a.status, _a.matched, _a.done, _a.passed_over, _matched, _done, _passed_over)
    .select_from(bulk_actions.outerjoin(_targets, _targets.c.bulk_action_id == _a.id))
    .where(
        or_(
            _a.matched != _matched,
            _a.done != _done,
            _a.passed_over != _passed_over,
            and_(_a.status == "DONE", _pending > 0),
            and_(_a.status == "RUNNING", _pending == 0),
        )
    )
    .order_by(_a.id)
)
_STRANGE: Final = (
    select(_t.bulk_action_id, _t.saga_id)
    .select_from(bulk_action_sagas.outerjoin(sagas, sagas.c.id == _t.saga_id))
    .where(sagas.c.id.is_(None))
    .order_by(_t.bulk_action_id, _t.saga_id)
)
_entries = (
    select(func.count())
    .where(_o.saga_id == _t.saga_id, _o.bulk_action_id == _t.bulk_action_id)
    .correlate(bulk_action_sagas)
    .scalar_subquery()
)
_expected = case((_t.state == "DONE", 1), else_=0)
_UNRECORDED: Final = (
    select(_t.bulk_action_id, _t.saga_id, _t.state, _entries)
    .where(_entries != _expected)
    .order_by(_t.bulk_action_id, _t.saga_id)
)
_UNKNOWN: Final = (
    select(_o.id, _o.bulk_action_id)
    .select_from(operator_actions.outerjoin(bulk_actions, _a.id == _o.bulk_action_id))
    .where(_o.bulk_action_id.is_not(None), _a.id.is_(None))
    .order_by(_o.id)
)


async def check_bulk_actions(connection: AsyncConnection) -> list[Finding]:
    """Check every bulk action, its sagas and their entries on the record."""
    counts = Finding("bulk-counts", "Every bulk action's numbers are those of its sagas, and it is over when they are.")
    known = Finding("bulk-sagas", "Every saga of a bulk action exists.")
    record = Finding("bulk-record", "Each saga that a bulk action has handled has one entry on the record.")
    await look(
        connection,
        counts,
        _MISCOUNTED,
        lambda row: (
            f"bulk action {row[0]}",
            f"it is {row[1]} and says {row[2]} matched, {row[3]} done, {row[4]} passed over; its sagas say {row[5]}, "
            f"{row[6]}, {row[7]}",
        ),
    )
    await look(
        connection, known, _STRANGE, lambda row: (f"bulk action {row[0]}", f"it names saga {row[1]}, and there is none")
    )
    await look(
        connection,
        record,
        _UNRECORDED,
        lambda row: (f"bulk action {row[0]}", f"its saga {row[1]} is {row[2]}, and has {row[3]} entries on the record"),
    )
    await look(
        connection,
        record,
        _UNKNOWN,
        lambda row: (f"operator action {row[0]}", f"it names bulk action {row[1]}, and there is none"),
    )
    return [counts, known, record]
