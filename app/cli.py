"""The command line. What is expected to go wrong ends with one line that says what to do, and no traceback."""

from __future__ import annotations

import sqlite3
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError

from app.client import ServerError
from app.commands import (
    actions,
    backups,
    copy_database,
    database,
    doctor,
    jobs,
    replicas,
    sagas,
    scenarios,
    serve,
)
from app.commands.terminal import Terminal
from domain.errors import SeatsagaError
from domain.storage import REMEDY, damage_of

__all__ = ["main"]

EXIT_REFUSED = 2

cli = typer.Typer(
    name="seatsaga",
    help="Books flight seats with durable sagas behind an async GraphQL API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cli.command("serve")(serve.serve)
cli.command("migrate")(database.migrate)
cli.command("seed")(database.seed)
cli.command("import-flights")(database.import_flights)
cli.command("copy-database")(copy_database.copy_database)
cli.command("backup")(backups.backup)
cli.command("restore")(backups.restore)
cli.command("doctor")(doctor.doctor)
cli.command("log-subject")(database.log_subject)
cli.command("replicas")(replicas.replicas)
cli.command("schema")(database.schema)
cli.command("scenarios")(scenarios.scenarios)
cli.command("watch")(sagas.watch)
cli.command("actions")(actions.actions)
cli.add_typer(sagas.commands, name="sagas")
cli.add_typer(jobs.commands, name="jobs")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"seatsaga {version('seatsaga')}")
        raise typer.Exit


@cli.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Books flight seats with durable sagas behind an async GraphQL API."""


def main() -> None:
    """Run the command that is asked for."""
    try:
        cli()
    except (SeatsagaError, ServerError, OSError, DBAPIError, sqlite3.Error) as error:
        said = _in_one_line(error)
        if said is None:
            raise
        Terminal(stderr=True, soft_wrap=True).print(f"seatsaga: {said}", style="bold red")
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)


def _in_one_line(error: BaseException) -> str | None:
    """What is wrong, where, and what to do; None of a fault of ours."""
    if isinstance(error, SeatsagaError | ServerError):
        return str(error)
    damage = damage_of(error)
    if damage is not None:
        return f"the database is damaged or cannot be used ({damage}). To go on, {REMEDY}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, sqlite3.Error) or isinstance(cause, sqlite3.OperationalError):
        return f"the database cannot be used ({cause})."
    return None
