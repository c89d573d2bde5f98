"""`seatsaga actions`: shows the record of operator actions, over the API of a running server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from app.client import Client
from app.commands import URL_DEFAULT, UrlOption, operator_token
from app.commands.asking import print_lines
from app.commands.terminal import Terminal
from app.running import run_command

__all__ = ["actions"]

PAGE_ENTRIES_MAX: Final = 100
_ACTIONS = """query($filter: OperatorActionFilter, $first: Int!, $after: String) {
  operatorActions(filter: $filter, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { node {
      id at by { role subject } kind reason saga { correlationId } job bulkAction { id } requestId before after
    } } } }"""


def actions(
    url: UrlOption = URL_DEFAULT,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds, as SKIP_STEP; may be repeated.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only by this subject.")] = None,
    saga: Annotated[str | None, typer.Option(help="Only about the saga with this correlation ID.")] = None,
    limit: Annotated[int, typer.Option(help="How many, 1 to 100.", min=1, max=PAGE_ENTRIES_MAX)] = 20,
    json: Annotated[
        bool, typer.Option("--json", help="Print all of them, ignoring --limit: one JSON object a line.")
    ] = False,
) -> None:
    """Show operator actions, newest first: operator, time, reason, and the state before and after."""
    wanted = {"kind": kind, "subject": subject, "correlationId": saga}
    run_command(_export(url, wanted) if json else _list(url, wanted, limit))


async def _export(url: str, wanted: dict[str, Any]) -> None:
    async for entry in _entries(url, wanted, PAGE_ENTRIES_MAX):
        print_lines([entry])


async def _list(url: str, wanted: dict[str, Any], limit: int) -> None:
    table = Table("at", "who", "kind", "about", "reason", "before", "after")
    shown = 0
    async for entry in _entries(url, wanted, limit):
        about = entry["job"] or (entry["saga"] or {}).get("correlationId")
        texts = (entry["at"], entry["by"]["subject"], entry["kind"], about, *(entry[name] for name in _TEXTS))
        table.add_row(*(text or "" for text in texts))
        shown += 1
        if shown == limit:
            break
    Terminal().print(table)


_TEXTS: Final = ("reason", "before", "after")


async def _entries(url: str, wanted: dict[str, Any], page_max: int) -> AsyncIterator[dict[str, Any]]:
    """Every entry that matches `wanted`, newest first, read page by page."""
    after = None
    async with Client(url, operator_token()) as client:
        while True:
            page = (await client.query(_ACTIONS, filter=wanted, first=page_max, after=after))["operatorActions"]
            for edge in page["edges"]:
                yield edge["node"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]
