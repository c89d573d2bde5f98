"""What works on the database, the settings or the code alone: migrate, seed, import-flights, log-subject, schema."""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path
from typing import Annotated

import typer

from app import migrations
from app.bootstrap import log_names
from app.commands.terminal import ProgressBar, Terminal
from app.migrations import SchemaState
from app.settings import load_settings
from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.errors import ConfigurationError, StorageError
from domain.storage import Database
from schema.root import SDL_FILE, sdl

__all__ = ["import_flights", "log_subject", "migrate", "schema", "seed"]

_out = Terminal()
_err = Terminal(stderr=True, soft_wrap=True)


def migrate() -> None:
    """Bring the database of SEATSAGA_DATABASE_URL to the schema that this version needs."""
    asyncio.run(_migrate(load_settings().direct_url))


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


def seed() -> None:
    """Fill an empty database: 453 departures over the next 30 days, 73,386 seats, 100 members.

    Run again, it adds nothing.
    """
    asyncio.run(_seed(load_settings().direct_url))


async def _seed(url: str) -> None:
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
            )
            if await flights.has_none(database):
                raise StorageError(
                    "another process is loading flights; nothing was added. Wait for it, then run it again."
                )
        members = await loyalty.seed_members(database)
    finally:
        await database.close()
    _out.print(f"Added {added} flights with {added * seats.SEATS:,} seats, and {members} members.")


def import_flights(
    file: Annotated[
        Path, typer.Argument(help="A CSV file; docs/flights.md describes its columns.", exists=True, dir_okay=False)
    ],
) -> None:
    """Load flights from a CSV file: all of its lines, or none and every bad one named."""
    with file.open("rb") as opened:
        content = opened.read(flights.FILE_BYTES_MAX + 1)
    asyncio.run(_import(load_settings().direct_url, file, content))


async def _import(url: str, file: Path, content: bytes) -> None:
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


def schema(
    check: Annotated[bool, typer.Option("--check", help="Compare with the committed schema/schema.graphql.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write schema/schema.graphql.")] = False,
) -> None:
    """Print the API in the schema definition language."""
    text = sdl()
    if write:
        SDL_FILE.write_text(text)
    elif check:
        committed = SDL_FILE.read_text() if SDL_FILE.exists() else ""
        if committed != text:
            difference = difflib.unified_diff(
                committed.splitlines(), text.splitlines(), "committed", "code", lineterm=""
            )
            for line in difference:
                _err.print(line)
            _err.print("schema/schema.graphql is not what the code says; run: seatsaga schema --write")
            raise typer.Exit(1)
        _out.print("schema/schema.graphql is what the code says.")
    else:
        typer.echo(text, nl=False)


def log_subject(subject: Annotated[str, typer.Argument(help="The caller's subject, as tokens name it.")]) -> None:
    """What to look for in the log for a customer, by the server's environment."""
    settings = load_settings()
    if settings.log_secret is None:
        raise ConfigurationError(
            "without SEATSAGA_LOG_SALT, SEATSAGA_JWT_SECRET or SEATSAGA_ADMIN_TOKEN a server hashes callers in its own "
            "way at each start; set SEATSAGA_LOG_SALT."
        )
    typer.echo(log_names(settings)(subject))
