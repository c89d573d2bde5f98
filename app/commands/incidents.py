"""`seatsaga incidents`: shows what needs an operator, over the API of a running server."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.table import Column, Table

from app.commands import URL_DEFAULT, UrlOption
from app.commands.asking import ask, print_lines
from app.commands.terminal import Terminal

__all__ = ["incidents"]

_INCIDENTS: Final = """{ incidents {
  status step compensation failureCode message sagas oldestSince newestSince money { amount currency } points seats
  runbook
} }"""


def incidents(
    url: UrlOption = URL_DEFAULT,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show stuck and parked sagas by cause and place, with what is at stake: the most money first.

    Exits 1 if there are any.
    """
    found = ask(url, _INCIDENTS)["incidents"]
    if json:
        print_lines(found)
    elif found:
        _show(found)
    else:
        Terminal().print("No saga is stuck or parked.")
    raise typer.Exit(1 if found else 0)


def _show(found: list[dict[str, Any]]) -> None:
    table = Table("cause", "place", Column("sagas", justify="right"), "since", "money", "points", "seats")
    for incident in found:
        table.add_row(
            f"{incident['status']} {incident['failureCode']}",
            incident["compensation"] or incident["step"] or "",
            str(incident["sagas"]),
            incident["oldestSince"],
            ", ".join(f"{money['amount']} {money['currency']}" for money in incident["money"]),
            str(incident["points"]),
            str(incident["seats"]),
        )
    terminal = Terminal()
    terminal.print(table)
    for incident in found:
        terminal.print(f"{incident['failureCode']}: {incident['message']}", soft_wrap=True)
        terminal.print(f"  What to do: docs/runbooks.md#{incident['runbook']}", soft_wrap=True)
