"""`seatsaga sagas retry|skip|cancel|unpark --filter`: the same to all sagas that match, with progress and a report."""

from __future__ import annotations

import asyncio
import sys
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from app.client import Client, ServerError
from app.commands import operator_token
from app.commands.asking import accepted, ask
from app.commands.terminal import ProgressBar, Terminal
from app.running import run_command

__all__ = [
    "DryRunOption",
    "ExpectedOption",
    "FilterOption",
    "PerSecondOption",
    "Wish",
    "YesOption",
    "act_on_many",
]

FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help="Which sagas: fields of SagaFilter, separated by commas, as status=STUCK,stuckAt=REFUND_PAYMENT."
        " Several values of one field: status=STUCK|PARKED.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only count the matches.")]
ExpectedOption = Annotated[
    int | None, typer.Option("--expected", help="Start only if so many match; without it, as many as were counted.")
]
PerSecondOption = Annotated[int, typer.Option("--per-second", help="Sagas a second, 1 to 1000.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before the start.")]

_FOLLOW_SECONDS: Final = 0.5
_FIELDS: Final = "id kind status matched done passedOver byStatus { status count } passedOverBecause { reason sagas }"
_START: Final = f"""mutation($input: StartBulkActionInput!) {{ startBulkAction(input: $input) {{
  matched bulkAction {{ {_FIELDS} }} errors {{ ... on UserError {{ message }} }} }} }}"""
_LOOK: Final = f"query($id: ID!) {{ bulkAction(id: $id) {{ {_FIELDS} }} }}"
_STOP: Final = f"""mutation($id: ID!) {{ stopBulkAction(input: {{id: $id}}) {{
  bulkAction {{ {_FIELDS} }} errors {{ message }} }} }}"""
_LISTS: Final = frozenset({"status", "stepStatus", "failureCode", "stuckWith"})
_out = Terminal()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done to all sagas that match."""

    kind: str
    filter: str
    reason: str | None
    dry_run: bool
    expected: int | None
    per_second: int
    yes: bool
    step: str | None = None

    def input(self, *, expected: int | None, dry_run: bool) -> dict[str, Any]:
        """As the API takes it."""
        given = {
            "kind": self.kind,
            "filter": _filter(self.filter),
            "reason": self.reason or ("Counted only." if dry_run else ""),
            "sagasPerSecond": self.per_second,
            "dryRun": dry_run,
            "expected": expected,
            "step": self.step,
        }
        return {name: value for name, value in given.items() if value is not None}


def act_on_many(url: str, wish: Wish) -> None:
    """Count, ask, start, show the progress, and print the report. Exits 1 if the action was stopped.

    SIGINT stops the action on the server; what was done stays done. If this process ends otherwise, the action goes on.
    """
    matched = _started(url, wish, expected=wish.expected, dry_run=True)["matched"]
    _out.print(f"{matched} sagas match.")
    if wish.dry_run or matched == 0:
        return
    if wish.reason is None:
        raise ServerError("no reason is given; say with --reason why, for the record.")
    if not wish.yes:
        if not sys.stdin.isatty():
            raise ServerError("nobody can be asked here; add --yes to start.")
        typer.confirm(f"{wish.kind} {matched} sagas, {wish.per_second} a second?", abort=True)
    action = _started(url, wish, expected=matched, dry_run=False)["bulkAction"]
    _out.print(f"Bulk action {action['id']}. Ctrl+C stops it.")
    try:
        action = run_command(_follow(url, action))
    except KeyboardInterrupt:
        action = accepted(ask(url, _STOP, id=action["id"])["stopBulkAction"])["bulkAction"]
    _report(action)
    raise typer.Exit(0 if action["status"] == "DONE" else 1)


def _started(url: str, wish: Wish, *, expected: int | None, dry_run: bool) -> dict[str, Any]:
    given = wish.input(expected=expected, dry_run=dry_run)
    # A key of its own, so that the start can be sent again if its answer is lost.
    given["idempotencyKey"] = str(uuid.uuid4())
    return accepted(ask(url, _START, is_repeatable=True, input=given)["startBulkAction"])


async def _follow(url: str, action: dict[str, Any]) -> dict[str, Any]:
    async with Client(url, operator_token()) as client:
        with ProgressBar(_out, action["kind"].lower()) as report:
            while True:
                report(action["done"] + action["passedOver"], action["matched"])
                if action["status"] != "RUNNING":
                    return action
                await asyncio.sleep(_FOLLOW_SECONDS)
                action = (await client.look(_LOOK, id=action["id"]))["bulkAction"]


def _report(action: dict[str, Any]) -> None:
    _out.print(
        f"{action['status']}: {action['done']} done, {action['passedOver']} passed over, of {action['matched']}."
    )
    if action["byStatus"]:
        table = Table("their status now", "sagas")
        for each in action["byStatus"]:
            table.add_row(each["status"], str(each["count"]))
        _out.print(table)
    for each in action["passedOverBecause"]:
        _out.print(f"{each['sagas']} passed over: {each['reason']}")


def _filter(text: str) -> dict[str, Any]:
    """The filter as the API takes it; the server refuses unknown names and values."""
    found: dict[str, Any] = {}
    for part in text.split(","):
        name, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator or not name or not value or name in found:
            raise ServerError(f"--filter {text}: name each field once, as in status=STUCK,stuckAt=REFUND_PAYMENT.")
        found[name] = value.split("|") if name in _LISTS else {"true": True, "false": False}.get(value, value)
    return found
