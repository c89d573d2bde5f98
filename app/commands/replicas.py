"""`seatsaga replicas`: lists every replica in the database, alive or not, and the sagas it holds. It only reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from app import migrations
from app.commands.terminal import Terminal
from app.running import run_command
from app.settings import load_settings
from domain.clock import SECOND, to_datetime
from domain.saga import ReplicaView, UnclaimedSagas, list_replicas, list_unclaimed
from domain.storage import Database

__all__ = ["replicas"]

_MINUTE_SECONDS: Final = 60
_out = Terminal()


@dataclass(frozen=True, slots=True)
class _Standing:
    """The state in the database at `now`, in microseconds since the epoch by the database's clock."""

    now: int
    replicas: list[ReplicaView]
    unclaimed: list[UnclaimedSagas]


def replicas(as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False) -> None:
    """List the replicas of the database of SEATSAGA_DATABASE_URL: start time, sagas held, and delay.

    A server may run on the database or not.
    """
    found = run_command(_read(load_settings().direct_url))
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _show(found)


async def _read(url: str) -> _Standing:
    await migrations.require_current(url)
    database = Database(url)
    try:
        async with database.reading() as connection:
            now = await database.clock.now(connection)
            return _Standing(now, await list_replicas(connection, now), await list_unclaimed(connection, now))
    finally:
        await database.close()


def _show(found: _Standing) -> None:
    table = Table("id", "host", "pid", "release", "started", "state", "sagas", "overdue", "lag")
    for column in table.columns[6:]:
        column.justify = "right"
    for replica in found.replicas:
        table.add_row(
            replica.id,
            replica.host,
            str(replica.process_id),
            replica.release or "",
            _moment(replica.started_at),
            _state(replica, found.now),
            f"{replica.sagas:,}",
            f"{replica.overdue:,}",
            _span(replica.lag_us(found.now)),
            style="" if replica.is_alive(found.now) else "red" if replica.sagas else "dim",
        )
    _out.print(table)
    for item in found.unclaimed:
        _out.print(
            f"Sagas of {item.definition} version {item.version} without an owner: {item.sagas:,}."
            " No replica knows that version.",
            style="bold red",
            soft_wrap=True,
        )


def _state(replica: ReplicaView, now: int) -> str:
    if replica.is_alive(now):
        return f"alive, lease {_span(replica.lease_until - now)}"
    return f"lapsed since {_moment(replica.lease_until)}"


def _as_json(found: _Standing) -> dict[str, Any]:
    return {
        "now": _instant(found.now),
        "replicas": [
            {
                "id": replica.id,
                "host": replica.host,
                "processId": replica.process_id,
                "release": replica.release,
                "revision": replica.revision,
                "startedAt": _instant(replica.started_at),
                "state": "alive" if replica.is_alive(found.now) else "lapsed",
                "leaseUntil": _instant(replica.lease_until),
                "sagas": replica.sagas,
                "overdue": replica.overdue,
                "lagSeconds": replica.lag_us(found.now) / SECOND,
            }
            for replica in found.replicas
        ],
        "unclaimed": [
            {"definition": item.definition, "version": item.version, "sagas": item.sagas} for item in found.unclaimed
        ],
    }


def _span(microseconds: int) -> str:
    """The span in milliseconds below a second, in seconds below a minute, else in minutes and seconds."""
    seconds = microseconds / SECOND
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE_SECONDS:
        return f"{seconds:.1f} s"
    return f"{seconds // _MINUTE_SECONDS:,.0f} min {seconds % _MINUTE_SECONDS:.0f} s"


def _moment(at: int) -> str:
    return to_datetime(at).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")


def _instant(at: int) -> str:
    return to_datetime(at).isoformat(timespec="microseconds").replace("+00:00", "Z")
