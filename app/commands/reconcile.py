"""`seatsaga reconcile`: compares the payment provider's books with ours at once, and prints what differs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Annotated, Any, Final

import msgspec
import typer

from app import migrations
from app.commands import ReasonOption, asked_here
from app.commands.terminal import Terminal
from app.payment_gateways import payment_gateway
from app.provider_books import provider_books
from app.running import run_command
from app.settings import Settings, load_settings
from domain.actors import Asked
from domain.clock import SECOND, from_datetime, to_datetime, wall_now
from domain.errors import ConfigurationError
from domain.money import Money
from domain.reconciliation import Difference, Finding, Reconciliation, Tally, open_findings
from domain.storage import Bounds, Database

__all__ = ["reconcile"]

EXIT_DIFFERS: Final = 1
NAMED_MAX: Final = 1_000
#: A page of our payments is read by one statement; a large table may take it longer than a request.
_BOUNDS: Final = Bounds(2, statement_seconds=60.0)
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_out = Terminal(soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Result:
    tally: Tally
    findings: Sequence[Finding]
    has_more: bool


def reconcile(
    since: Annotated[
        str | None,
        typer.Option(
            help="Look at everything since then: a time, as 2026-11-30T12:00Z, or how long ago, as 90m, 2h, 7d. "
            "Without it, since the last window of the job reconcile-payments began."
        ),
    ] = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Also give back what the job would: money of sagas that are undone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    reason: ReasonOption = None,
) -> None:
    """Compare the payment provider's books with ours, both ways, and list all that differs.

    A server may run on the database. Exits 1 if anything differs.
    """
    moment = None if since is None else _moment(since)
    result = run_command(_reconcile(load_settings(), moment, mends=mend, asked=asked_here(reason)))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_as_json(result)), indent=2).decode())
    else:
        _show(result)
    if result.findings:
        raise typer.Exit(EXIT_DIFFERS)


async def _reconcile(settings: Settings, since: int | None, *, mends: bool, asked: Asked) -> _Result:
    await migrations.require_current(settings.direct_url)
    async with AsyncExitStack() as stack:
        database = Database(settings.direct_url, bounds=_BOUNDS)
        stack.push_async_callback(database.close)
        gateway = payment_gateway(settings)
        # The sandbox's gateway makes missing books, and who only looks makes none.
        if mends or settings.payments != "sandbox":
            await gateway.start()
            stack.push_async_callback(gateway.close)
        reconciliation = Reconciliation(database, gateway, partial(provider_books, gateway))
        tally = await reconciliation.walk(since, mends=mends, asked=asked)
        found = await database.read(partial(open_findings, provider=gateway.name, limit=NAMED_MAX + 1))
        return _Result(tally, found[:NAMED_MAX], len(found) > NAMED_MAX)


def _moment(text: str) -> int:
    """The moment that `text` names, in microseconds."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0, wall_now() - int(ago[1]) * _SECONDS[ago[2]] * SECOND)
    try:
        moment = datetime.fromisoformat(text)
        return max(0, from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"--since {text} is no time; write one as 2026-11-30T12:00Z, or how long ago as 90m, 2h, 7d."
        ) from None


# ---------------------------------------------------------------- for people


def _show(result: _Result) -> None:
    tally = result.tally
    left = f"; {tally.unsettled:,} of them at sagas that have not ended" if tally.unsettled else ""
    _out.print(f"{_number(tally.payments, 'look')} at payments{left}.")
    for finding in tally.mended:
        _out.print(f"↩ {finding.reference} of saga {finding.correlation_id}: {finding.at_stake} given back.")
    for kind, findings in groupby(sorted(result.findings, key=lambda item: (item.kind, item.id)), _kind):
        _out.print(f"✘ {kind.value:<21} {kind.sentence}", style="bold red")
        for finding in findings:
            saga = finding.correlation_id or "unknown"
            _out.print(f"    {finding.reference}  saga {saga}  {finding.at_stake}  {finding.detail}")
    if not result.findings:
        _out.print("The provider's books and ours agree.", style="bold green")
        return
    more = "more than " if result.has_more else ""
    at_stake = ", ".join(map(str, _sums(result.findings)))
    _out.print(f"{more}{_number(len(result.findings), 'difference')}; at stake: {at_stake}", style="bold red")


def _kind(finding: Finding) -> Difference:
    return finding.kind


def _sums(findings: Sequence[Finding]) -> list[Money]:
    """The money at stake, by currency."""
    sums: dict[str, int] = {}
    for finding in findings:
        sums[finding.at_stake.currency] = sums.get(finding.at_stake.currency, 0) + finding.at_stake.minor
    return [Money(minor, currency) for currency, minor in sorted(sums.items())]


def _number(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else f'{one}s'}"


# ---------------------------------------------------------------- for machines


def _as_json(result: _Result) -> dict[str, Any]:
    return {
        "looks": result.tally.payments,
        "unsettled": result.tally.unsettled,
        "mended": [finding.reference for finding in result.tally.mended],
        "findings": [_finding_as_json(finding) for finding in result.findings],
        "hasMore": result.has_more,
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "meaning": finding.kind.sentence,
        "provider": finding.provider,
        "reference": finding.reference,
        "correlationId": finding.correlation_id,
        "atStake": {"amount": str(finding.at_stake.amount), "currency": finding.at_stake.currency},
        "detail": finding.detail,
        "firstSeenAt": to_datetime(finding.first_seen_at),
        "lastSeenAt": to_datetime(finding.last_seen_at),
    }
