"""Asks a running server as an operator: one operation, one answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import typer

from app.client import Client, ServerError
from app.commands import operator_token
from app.running import run_command

__all__ = ["accepted", "ask", "print_lines"]


def ask(url: str, document: str, *, is_repeatable: bool = False, **variables: Any) -> dict[str, Any]:
    """The data of one operation. `is_repeatable`: it is sent again for a while if the server is unavailable."""

    async def asked() -> dict[str, Any]:
        async with Client(url, operator_token()) as client:
            return await (client.look if is_repeatable else client.query)(document, **variables)

    return run_command(asked())


def accepted(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload of a mutation. Raises ServerError with the messages of its errors."""
    if payload["errors"]:
        raise ServerError("; ".join(error["message"] for error in payload["errors"]))
    return payload


def print_lines(items: Iterable[Any]) -> None:
    """Print one JSON object a line."""
    for item in items:
        typer.echo(msgspec.json.encode(item).decode())
