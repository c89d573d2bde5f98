"""What is known of the sagas whose witnesses still wait: so that a failure tells whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from cluster.replicas import Replica
from tests.cluster.load import Order

__all__ = ["unfinished"]

LOG_LINES_MAX: Final = 15
_SAGAS: Final = """SELECT sagas.correlation_id, status, direction, phase, position, attempt, epoch,
    sagas.sequence, finished_at IS NOT NULL AS over, replicas.process_id,
    round((lease_until - now.us) / 1e6, 1) AS lease_seconds, round((due_at - now.us) / 1e6, 1) AS due_seconds,
    (SELECT max(sequence) FROM saga_events WHERE saga_id = sagas.id) AS newest_event
    FROM (SELECT extract(epoch FROM clock_timestamp()) * 1e6 AS us) AS now, sagas
    LEFT JOIN replicas ON replicas.id = sagas.replica
    WHERE sagas.correlation_id = ANY ($1) ORDER BY sagas.id"""
_SESSIONS: Final = """SELECT pid, application_name, state, wait_event_type, wait_event,
    round(extract(epoch FROM clock_timestamp() - state_change), 1) AS since_seconds, left(query, 80) AS query
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid"""


async def unfinished(url: str, orders: Iterable[Order], replicas: Sequence[Replica]) -> str:
    """Each of `orders` with its saga's row, the server's sessions, and the end of each replica's output."""
    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        by_id = {order.correlation_id: order for order in orders}
        rows = {str(row["correlation_id"]): row for row in await connection.fetch(_SAGAS, list(by_id))}
        lines = [f"{order}: {_fields(rows.get(id_))}" for id_, order in by_id.items()]
        lines += ["sessions:", *(_fields(row) for row in await connection.fetch(_SESSIONS))]
    finally:
        await connection.close()
    for replica in replicas:
        lines += [f"{replica.name}, process {replica.pid}:"]
        lines += replica.output.read_text(errors="replace").splitlines()[-LOG_LINES_MAX:]
    return "\n".join(lines)


def _fields(row: asyncpg.Record | None) -> str:
    return "no row" if row is None else ", ".join(f"{name} {value}" for name, value in row.items())
