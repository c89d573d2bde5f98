"""Commands that need only the database: migrate, seed, import-flights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app import migrations
from app.commands import ReasonOption, asked_here
from app.commands.terminal import ProgressBar, Terminal
from app.migration_sql import script_of
from app.migrations import SchemaState
from app.running import run_command
from app.settings import load_settings
from domain import flights, loyalty, seats
from domain.actors import Asked
from domain.clock import wall_now
from domain.errors import StorageError
from domain.storage import Database

__all__ = ["import_flights", "migrate", "seed"]

_out = Terminal()
_err = Terminal(stderr=True, soft_wrap=True)


def migrate(
    sql: Annotated[
        bool,
        typer.Option("--sql", help="Print the SQL, for the kind of database of SEATSAGA_DATABASE_URL; change nothing."),
    ] = False,
    begins_at: Annotated[
        str | None, typer.Option("--from", help="With --sql: the revision of the database. Left out: it is empty.")
    ] = None,
) -> None:
    """Migrate the database of SEATSAGA_DATABASE_URL to the schema that this version needs."""
    settings = load_settings()
    if sql:
        print(script_of("sqlite" if settings.is_embedded else "postgresql", begins_at=begins_at))
    elif begins_at is not None:
        raise typer.BadParameter("--from needs --sql; without it, the database knows its revision.")
    else:
        run_command(_migrate(settings.direct_url))


async def _migrate(url: str) -> None:
    before = await migrations.standing_of(url)
    if before.state in (SchemaState.EMPTY, SchemaState.BEHIND):
        await migrations.upgrade(url)
    after = await migrations.standing_of(url)
    migrations.require_served(after)
    if before.revision != after.revision:
        _out.print(f"Migrated from {before.revision or 'nothing'} to {after.revision}.")
    elif after.state is SchemaState.AHEAD:
        _out.print(f"The schema is at {after.revision}, which is newer; this version may serve it.")
    else:
        _out.print(f"The schema is at {after.revision}.")


def seed(reason: ReasonOption = None) -> None:
    """Fill an empty database: 453 departures over the next 30 days, 73,386 seats, 100 members.

    Run again on a later day, it adds the days that have come since. Beside flights of your own, it adds nothing.
    """
    run_command(_seed(load_settings().direct_url, asked_here(reason)))


async def _seed(url: str, asked: Asked) -> None:
    await migrations.require_current(url)
    database = Database(url)
    try:
        with ProgressBar(_out, "Flights") as report:
            added = await flights.seed_flights(
                database,
                now=wall_now(),
                source=flights.LoadSource.SEED,
                add_seats=seats.add_seats,
                remove_seats=seats.remove_seats,
                progress=report,
                asked=asked,
            )
            if await flights.has_none(database):
                raise StorageError(
                    "another process is loading flights; nothing was added. Wait until it ends, then run this again."
                )
        members = await loyalty.seed_members(database, asked)
    finally:
        await database.close()
    _out.print(f"Added {added} flights with {added * seats.SEATS:,} seats, and {members} members.")


def import_flights(
    file: Annotated[
        Path, typer.Argument(help="A CSV file; docs/flights.md describes its columns.", exists=True, dir_okay=False)
    ],
    reason: ReasonOption = None,
) -> None:
    """Load flights from a CSV file. If any line is wrong, load nothing and name every wrong line."""
    with file.open("rb") as opened:
        content = opened.read(flights.FILE_BYTES_MAX + 1)
    run_command(_import(load_settings().direct_url, file, content, asked_here(reason)))


async def _import(url: str, file: Path, content: bytes, asked: Asked) -> None:
    await migrations.require_current(url)
    database = Database(url)
    try:
        with ProgressBar(_out, "Remains of earlier loads") as cleaning, ProgressBar(_out, "Flights") as report:
            answer = await flights.import_flights(
                database,
                content,
                now=wall_now(),
                add_seats=seats.add_seats,
                remove_seats=seats.remove_seats,
                progress=report,
                cleaning=cleaning,
                asked=asked,
            )
    finally:
        await database.close()
    match answer:
        case flights.Imported(number):
            _out.print(f"Loaded {number} flights with {number * seats.SEATS:,} seats.")
        case flights.ImportRefused(lines, more):
            faults = len(lines) + more
            for line in lines:
                _err.print(f"{file}:{line.number}: {line.reason}")
            shown = f", of which the first {len(lines)} are named" if more else ""
            _err.print(f"Nothing was loaded: {faults:,} {'fault' if faults == 1 else 'faults'}{shown}.")
            raise typer.Exit(1)
