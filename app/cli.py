"""The command line. An expected error prints one line that says what to do, and no traceback."""

from __future__ import annotations

import sys
from collections import UserDict
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

__all__ = ["main"]

EXIT_REFUSED = 2
#: Each command by name, with its module in app.commands and its function or group there.
_COMMANDS: Final = {
    "serve": "serve.serve",
    "migrate": "database.migrate",
    "seed": "database.seed",
    "import-flights": "database.import_flights",
    "copy-database": "copy_database.copy_database",
    "backup": "backups.backup",
    "restore": "backups.restore",
    "doctor": "doctor.doctor",
    "reconcile": "reconcile.reconcile",
    "log-subject": "without_database.log_subject",
    "replicas": "replicas.replicas",
    "schema": "without_database.schema",
    "scenarios": "scenarios.scenarios",
    "book": "booking.book",
    "pay": "booking.pay",
    "confirm": "booking.confirm",
    "find": "find.find",
    "watch": "sagas.watch",
    "incidents": "incidents.incidents",
    "actions": "actions.actions",
    "sagas": "sagas.commands",
    "jobs": "jobs.commands",
    "provider": "provider.commands",
}


class _Commands(UserDict[str, Any]):
    """The commands by name. A command is imported when it is looked up, so it does not wait for other imports."""

    def __getitem__(self, name: str) -> Any:
        """The command; imports its module."""
        found = self.data[name]
        if isinstance(found, str):
            found = self.data[name] = _command(name, found)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """The command, or `default` if there is none with that name."""
        return self[name] if name in self.data else default


class _CommandGroup(TyperGroup):
    """The group of all commands, which looks them up as `_Commands` does."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands(_COMMANDS)


def _command(name: str, place: str) -> Any:
    module, _, attribute = place.partition(".")
    found = getattr(import_module(f"app.commands.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    return command


cli = typer.Typer(
    name="seatsaga",
    cls=_CommandGroup,
    help="Books flight seats with durable sagas behind an async GraphQL API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Run the command of the command line."""
    try:
        cli()
    except Exception as error:
        # Imported here: if one of these errors was raised, its modules are imported already.
        from app.commands.terminal import Terminal
        from app.one_line import in_one_line

        said = in_one_line(error)
        if said is None:
            raise
        Terminal(stderr=True, soft_wrap=True).print(f"seatsaga: {said}", style="bold red")
        sys.exit(EXIT_REFUSED)
    except KeyboardInterrupt:
        sys.exit(130)
