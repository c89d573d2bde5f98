"""`seatsaga doctor`: checks every invariant of a database, served or not. It only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from app.commands.terminal import Terminal
from app.database_files import files_of
from app.examining import examine_database
from app.running import run_command
from app.settings import Settings, load_settings
from domain.audit import Examination, Finding
from domain.storage import require_whole

__all__ = ["doctor", "show_examination"]

EXIT_VIOLATED = 1
_out = Terminal(soft_wrap=True)


def doctor(
    provider: Annotated[
        bool, typer.Option("--provider", help="With Stripe: list the account's payments, and check them too.")
    ] = False,
) -> None:
    """Check every invariant of the database of SEATSAGA_DATABASE_URL, and of the sandbox's books.

    A server may run on the database. Exits 1 if an invariant is violated.
    """
    settings = load_settings()
    found = run_command(_examine(settings, asks_provider=provider))
    show_examination(found)
    if not found.is_clean:
        raise typer.Exit(EXIT_VIOLATED)


async def _examine(settings: Settings, *, asks_provider: bool) -> Examination:
    for file in files_of(settings):
        await asyncio.to_thread(require_whole, file)
    return await examine_database(settings, settings.direct_url, asks_provider=asks_provider)


def show_examination(found: Examination) -> None:
    """Print the result of every check."""
    served = f"served by {_number(found.replicas, 'process', 'processes')}" if found.replicas else "not served"
    _out.print(f"{_number(found.sagas, 'saga', 'sagas')}, {served}")
    for finding in found.findings:
        sign, style = ("✘", "bold red") if finding.violations else ("✔", "green")
        _out.print(f"{sign} {finding.check:<17} {finding.holds}", style=style)
        for violation in finding.violations:
            _out.print(f"    {violation.subject}: {violation.detail}")
        if finding.has_more:
            _out.print("    ... and more")
    for check, reason in found.skipped:
        _out.print(f"– {check:<17} Not checked: {reason}.", style="yellow")
    for listing in found.listings:
        if listing.notes:
            more = "more than " if listing.has_more else ""
            _out.print(f"! {listing.topic:<17} {more}{len(listing.notes)}: {listing.means}.", style="yellow")
        for note in listing.notes:
            _out.print(f"    {note.subject}: {note.detail}")
    _conclude([finding for finding in found.findings if finding.violations])


def _conclude(broken: Sequence[Finding]) -> None:
    if not broken:
        _out.print("Everything is as it should be.", style="bold green")
        return
    violations = _number(sum(len(finding.violations) for finding in broken), "violation", "violations")
    more = ", and more" if any(finding.has_more for finding in broken) else ""
    _out.print(f"{violations}{more}: {', '.join(finding.check for finding in broken)}", style="bold red")


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
