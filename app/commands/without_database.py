"""Commands that need only the settings or the code: log-subject, schema."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from app.bootstrap import log_names
from app.commands.terminal import Terminal
from app.settings import load_settings
from domain.errors import ConfigurationError
from schema.root import SDL_FILE, sdl

__all__ = ["log_subject", "schema"]

_out = Terminal()
_err = Terminal(stderr=True, soft_wrap=True)


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
            _err.print("schema/schema.graphql differs from the code; run: seatsaga schema --write")
            raise typer.Exit(1)
        _out.print("schema/schema.graphql matches the code.")
    else:
        typer.echo(text, nl=False)


def log_subject(subject: Annotated[str, typer.Argument(help="The caller's subject, as tokens name it.")]) -> None:
    """Print a customer's hash in the log; needs the server's environment."""
    settings = load_settings()
    if settings.log_secret is None:
        raise ConfigurationError(
            "without SEATSAGA_LOG_SALT, SEATSAGA_JWT_SECRET or SEATSAGA_ADMIN_TOKEN a server hashes callers with a new "
            "key at each start; set SEATSAGA_LOG_SALT."
        )
    typer.echo(log_names(settings)(subject))
