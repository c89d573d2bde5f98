"""`seatsaga copy-database`: copies an installation's data to another database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.table import Table

from app import database_copy
from app.commands import ReasonOption, asked_here
from app.commands.terminal import ProgressBar, Terminal
from app.database_copy import CopiedTable, CopyDiffersError
from app.running import run_command
from app.settings import Settings, load_settings
from domain.actors import Asked
from domain.storage import database_url

__all__ = ["copy_database"]

EXIT_DIFFERS: Final = 1
_out = Terminal()
_err = Terminal(stderr=True, soft_wrap=True)


def copy_database(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="The URL of the database to read; no server may use it.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="The URL of an empty database.")],
    reason: ReasonOption = None,
) -> None:
    """Copy a stopped installation's data to another database, and check that all of it arrived.

    FROM and TO may each be sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/DATABASE. FROM
    is only read. If this ends with exit code 0, TO has everything; otherwise it has nothing.
    """
    settings = load_settings()
    try:
        tables = run_command(_copy(settings, source, target, asked_here(reason)))
    except CopyDiffersError as error:
        _show(error.tables)
        _err.print(f"seatsaga: {error}", style="bold red")
        raise typer.Exit(EXIT_DIFFERS) from None
    _show(tables)
    if settings.payments != "sandbox":
        _out.print("The payment provider keeps the payments; only our records of them were copied.")
    shown = database_url(target).render_as_string(hide_password=True)
    _out.print(f"Next: set SEATSAGA_DATABASE_URL={shown}, start, and run: seatsaga doctor", soft_wrap=True)


async def _copy(settings: Settings, source: str, target: str, asked: Asked) -> list[CopiedTable]:
    with ProgressBar(_out, "Rows") as report:
        return await database_copy.copy_database(
            source, target, with_books=settings.payments == "sandbox", progress=report, asked=asked
        )


def _show(tables: Sequence[CopiedTable]) -> None:
    table = Table("table", "rows in FROM", "rows in TO", "values")
    for column in table.columns[1:3]:
        column.justify = "right"
    for copied in tables:
        table.add_row(
            copied.name,
            f"{copied.source.rows:,}",
            f"{copied.target.rows:,}",
            "the same" if copied.is_same else "NOT THE SAME",
            style="" if copied.is_same else "bold red",
        )
    _out.print(table)
