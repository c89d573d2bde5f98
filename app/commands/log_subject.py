"""`seatsaga log-subject`: what a caller is called in the log."""

from __future__ import annotations

from typing import Annotated

import typer

from app.bootstrap import log_names
from app.settings import load_settings
from domain.errors import ConfigurationError

__all__ = ["log_subject"]


def log_subject(subject: Annotated[str, typer.Argument(help="The caller's subject, as tokens name it.")]) -> None:
    """What to look for in the log for a customer, by the server's environment."""
    settings = load_settings()
    if settings.log_secret is None:
        raise ConfigurationError(
            "without SEATSAGA_LOG_SALT, SEATSAGA_JWT_SECRET or SEATSAGA_ADMIN_TOKEN a server hashes callers in its own "
            "way at each start; set SEATSAGA_LOG_SALT."
        )
    typer.echo(log_names(settings)(subject))
