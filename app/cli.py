"""The command line. What is expected to go wrong ends with one line that says what to do, and no traceback."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from app.client import ServerError
from app.commands import copying, database, doctor, jobs, log_subject, replicas, sagas, scenarios, serve, watch
from domain.errors import SeatsagaError

__all__ = ["main"]

EXIT_REFUSED = 2

cli = typer.Typer(
    name="seatsaga",
    help="Books flight seats with durable sagas behind an async GraphQL API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.command("serve")(serve.serve)
cli.command("migrate")(database.migrate)
cli.command("seed")(database.seed)
cli.command("import-flights")(database.import_flights)
cli.command("copy-database")(copying.copy_database)
cli.command("doctor")(doctor.doctor)
cli.command("log-subject")(log_subject.log_subject)
cli.command("replicas")(replicas.replicas)
cli.command("schema")(database.schema)
cli.command("scenarios")(scenarios.scenarios)
cli.command("watch")(watch.watch)
cli.add_typer(sagas.commands, name="sagas")
cli.add_typer(jobs.commands, name="jobs")


def main() -> None:
    """Run the command that is asked for."""
    try:
        cli()
    except (SeatsagaError, ServerError) as error:
        Console(stderr=True, soft_wrap=True).print(
            f"seatsaga: {error}", style="bold red", markup=False, highlight=False
        )
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)
