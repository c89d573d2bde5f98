"""The commands of `seatsaga`, one module a group. Some work on the database, others call a running server."""

from __future__ import annotations

import getpass
import os
from typing import Annotated, Final

import typer

from domain.actors import COMMAND_LINE, Actor, ActorRole, Asked, reason_fault
from domain.errors import ConfigurationError

__all__ = ["URL_DEFAULT", "ReasonOption", "UrlOption", "asked_here", "customer_token", "operator_token"]

URL_DEFAULT: Final = "http://127.0.0.1:8000"
UrlOption = Annotated[str, typer.Option("--url", help="The server's address.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the record of operator actions.")]


def asked_here(reason: str | None) -> Asked:
    """The user of a command that works on the database, by the system's user name. There is no request id.

    Raises ConfigurationError if the reason is not valid.
    """
    fault = None if reason is None else reason_fault(reason)
    if fault is not None:
        raise ConfigurationError(fault)
    return Asked(Actor(ActorRole.OPERATOR, f"{COMMAND_LINE}{getpass.getuser()}"), reason and reason.strip())


def operator_token() -> str | None:
    """The operators' token: SEATSAGA_ADMIN_TOKEN, or the one that the server keeps in its data folder."""
    # Imported here: every command imports this package, and only a few need these modules.
    from app.private_files import kept_token
    from app.settings import load_settings

    given = os.environ.get("SEATSAGA_ADMIN_TOKEN")
    return given or kept_token(load_settings().data_dir)


def customer_token() -> str | None:
    """The token of SEATSAGA_TOKEN; None: without one, all callers under auth `none` are one customer."""
    from app.settings import load_settings

    token = load_settings().token
    return None if token is None else token.get_secret_value()
