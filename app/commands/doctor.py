"""`seatsaga doctor`: checks every invariant of a database, served or not. It only reads.

With `--url` it looks at a server from outside instead, through the proxies in front of it: see `app.outside`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from app.client import ServerError
from app.commands import customer_token, operator_token
from app.commands.terminal import Terminal
from app.database_files import files_of
from app.examining import examine_database
from app.outside import CHECKS, Observation, State, look
from app.running import run_command
from app.settings import Settings, is_loopback, load_settings
from domain.audit import Examination, Finding
from domain.storage import require_whole

__all__ = ["doctor", "show_examination"]

EXIT_VIOLATED = 1
_out = Terminal(soft_wrap=True)


def doctor(
    provider: Annotated[
        bool, typer.Option("--provider", help="With Stripe: list the account's payments, and check them too.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Look at the server at this address instead, through the proxies in front of it."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="With --url: skip what takes 10 to 20 s.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --url: print one JSON object.")] = False,
) -> None:
    """Check every invariant of the database of SEATSAGA_DATABASE_URL, and of the sandbox's books.

    A server may run on the database. Exits 1 if an invariant is violated. With --url: check how the server is reached
    from here, and exit 1 if a proxy does something wrong.
    """
    if url is not None:
        if provider:
            raise typer.BadParameter("--provider checks a database, and --url a server.")
        _look_from_outside(url, is_quick=quick, as_json=as_json)
        return
    if quick or as_json:
        raise typer.BadParameter("--quick and --json need --url.")
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


def _look_from_outside(url: str, *, is_quick: bool, as_json: bool) -> None:
    host = _host_of(url)
    if host is None:
        raise ServerError(f"{url} is not the URL of a server; give one like https://book.example.")
    said = run_command(look(url, token=_token_for(host), is_quick=is_quick, tell=Terminal(stderr=True).print))
    if as_json:
        typer.echo(msgspec.json.encode({"url": url, "observations": [_as_data(each) for each in said]}).decode())
    else:
        show_observations(said)
    if any(each.state is State.BROKEN for each in said):
        raise typer.Exit(EXIT_VIOLATED)


def _host_of(url: str) -> str | None:
    """The host of an address of a server; None if it is none."""
    try:
        parts = urlsplit(url)
        # Raises ValueError if the port is no port.
        return parts.hostname if parts.scheme in ("http", "https") and parts.port != 0 else None
    except ValueError:
        return None


def _as_data(seen: Observation) -> dict[str, Any]:
    check = CHECKS[seen.check]
    return {
        "check": seen.check,
        "state": seen.state,
        "detail": seen.detail or None,
        "holds": check.holds,
        "remedy": {"nginx": check.nginx, "haproxy": check.haproxy, "caddy": check.caddy},
        "docs": check.docs,
    }


def _token_for(host: str) -> str | None:
    """A token that is kept in the data folder is for the server of this machine alone."""
    given = os.environ.get("SEATSAGA_ADMIN_TOKEN") or customer_token()
    return given or (operator_token() if is_loopback(host) else None)


def show_observations(said: Sequence[Observation]) -> None:
    """Print what was seen from outside, and for each fault what to change in which proxy."""
    signs = {
        State.HOLDS: ("✔", "green"),
        State.BROKEN: ("✘", "bold red"),
        State.ADVICE: ("!", "yellow"),
        State.SKIPPED: ("–", "yellow"),
    }
    for each in said:
        check, (sign, style) = CHECKS[each.check], signs[each.state]
        says = f"Not checked: {each.detail}." if each.state is State.SKIPPED else check.holds
        _out.print(f"{sign} {each.check:<18} {says}", style=style)
        if each.state in (State.BROKEN, State.ADVICE):
            _out.print(f"    {each.detail}")
            for name, remedy in (("nginx", check.nginx), ("HAProxy", check.haproxy), ("Caddy", check.caddy)):
                _out.print(f"    {name + ':':<8} {remedy}")
            _out.print(f"    See {check.docs}")
    broken = list(dict.fromkeys(each.check for each in said if each.state is State.BROKEN))
    if broken:
        _out.print(f"{_number(len(broken), 'fault', 'faults')}: {', '.join(broken)}", style="bold red")
    else:
        _out.print("Everything is as it should be.", style="bold green")


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
