"""`seatsaga sagas` and `seatsaga watch`: show sagas, and mend one or many, over the API of a running server."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import typer
from rich.table import Column, Table

from app.client import Client, ServerError
from app.commands import URL_DEFAULT, ReasonOption, UrlOption, customer_token, operator_token
from app.commands.asking import accepted, ask
from app.commands.bulk import (
    DryRunOption,
    ExpectedOption,
    FilterOption,
    PerSecondOption,
    Wish,
    YesOption,
    act_on_many,
)
from app.commands.terminal import SagaDrawing, Terminal
from app.commands.waits import AWAITED, Countdown, Wait
from app.running import run_command

__all__ = ["commands", "watch", "watch_saga"]

commands = typer.Typer(
    add_completion=False, help="Show sagas; retry, skip, cancel and settle them.", no_args_is_help=True
)
#: How long `watch` waits for a server that it has lost.
LOST_SECONDS_MAX: Final = 60.0
_out = Terminal()
_Id = Annotated[str, typer.Argument(help="The saga's correlation ID.")]
_OneId = Annotated[str | None, typer.Argument(help="One saga's correlation ID.")]

_LIST = """query($filter: SagaFilter, $first: Int!) { sagas(filter: $filter, first: $first) { edges { node {
  correlationId definition status startedAt failure { code step } queue { executing compensating }
} } } }"""
_SHOW = """query($id: UUID!) { saga(correlationId: $id) {
  correlationId definition status startedAt finishedAt failure { code message step }
  steps { name status attempt summary compensation failure { code } undo { name status attempt summary } }
  reservations { status seat { number } flight { number } } payment { status amount { amount currency } }
  booking { reference status } events { sequence type step compensation message at }
} }"""


def _mutation(name: str, given: str) -> str:
    """A mutation of one saga with more arguments, as `$reason: String!`; each has its variable's name."""
    passed = ", ".join(f"{argument}: ${argument}" for argument in re.findall(r"\$(\w+)", given))
    return f"""mutation($id: UUID!, {given}) {{ mended: {name}(input: {{correlationId: $id, {passed}}}) {{
      saga {{ status }} errors {{ ... on UserError {{ message }} }} }} }}"""


_ONE: Final = {
    "RETRY": _mutation("retrySaga", "$reason: String"),
    "CANCEL": _mutation("cancelSaga", "$reason: String"),
    "SKIP": _mutation("skipStep", "$step: StepName!, $reason: String!"),
}
_SETTLE: Final = _mutation("settleSaga", "$how: String!")
_SAGA = f"""query($id: UUID!) {{ saga(correlationId: $id) {{
  status sequence steps {{ name status compensation }} {AWAITED}
}} }}"""


@commands.command("list")
def list_(
    url: UrlOption = URL_DEFAULT,
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="How many, 1 to 100.", min=1, max=100)] = 20,
) -> None:
    """List the newest sagas."""
    found = ask(url, _LIST, filter={"status": status or []}, first=limit)["sagas"]["edges"]
    table = Table(
        Column("correlation ID", no_wrap=True, min_width=36), "definition", "status", "at", "failure", "started"
    )
    for edge in found:
        saga = edge["node"]
        failure = saga["failure"]
        table.add_row(
            saga["correlationId"],
            saga["definition"],
            saga["status"],
            saga["queue"]["compensating"] or saga["queue"]["executing"] or "",
            f"{failure['code']} at {failure['step']}" if failure else "",
            saga["startedAt"],
        )
    _out.print(table)


@commands.command()
def show(correlation_id: _Id, url: UrlOption = URL_DEFAULT) -> None:
    """Show one saga: its steps, seats, payment, booking and events."""
    saga = ask(url, _SHOW, id=correlation_id)["saga"]
    if saga is None:
        raise ServerError(f"there is no saga {correlation_id}")
    table = Table("step", "status", "attempt", "summary", "compensation", "undone", title=correlation_id)
    for step in saga["steps"]:
        undo: dict[str, Any] | None = step["undo"]
        table.add_row(
            step["name"],
            step["status"],
            str(step["attempt"]),
            step["summary"] or (step["failure"] or {}).get("code", ""),
            step["compensation"] or "",
            f"{undo['status']} {undo['summary'] or ''}" if undo else "",
        )
    _out.print(table)
    for reservation in saga["reservations"]:
        _out.print(
            f"seat {reservation['seat']['number']} on {reservation['flight']['number']}: {reservation['status']}"
        )
    if saga["payment"]:
        amount = saga["payment"]["amount"]
        _out.print(f"payment of {amount['amount']} {amount['currency']}: {saga['payment']['status']}")
    if saga["booking"]:
        _out.print(f"booking {saga['booking']['reference']}: {saga['booking']['status']}")
    drawing = SagaDrawing(_out)
    for event in saga["events"]:
        drawing.draw(event)
    drawing.conclude(saga)


def _one_or_many(kind: str, what: str) -> None:
    """The command that does `kind` to one saga by its ID, or to all that match a filter."""

    def act(
        correlation_id: _OneId = None,
        filter_: FilterOption = None,
        reason: ReasonOption = None,
        dry_run: DryRunOption = False,
        expected: ExpectedOption = None,
        per_second: PerSecondOption = 10,
        yes: YesOption = False,
        url: UrlOption = URL_DEFAULT,
    ) -> None:
        if _is_one(correlation_id, filter_):
            _mend(url, kind, id=correlation_id, reason=reason)
        else:
            act_on_many(url, Wish(kind, filter_ or "", reason, dry_run, expected, per_second, yes))

    commands.command(kind.lower(), help=what)(act)


_one_or_many("RETRY", "Retry a waiting step now, or resume a STUCK saga; with --filter, of all sagas that match.")


@commands.command()
def skip(
    correlation_id: _OneId = None,
    step: Annotated[str | None, typer.Argument(help="The stuck step, or the step whose compensation is stuck.")] = None,
    step_option: Annotated[str | None, typer.Option("--step", help="With --filter: the step.")] = None,
    filter_: FilterOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    expected: ExpectedOption = None,
    per_second: PerSecondOption = 10,
    yes: YesOption = False,
    url: UrlOption = URL_DEFAULT,
) -> None:
    """Skip the stuck step or compensation; the saga ends ABANDONED. With --filter, of all sagas that match."""
    place = step or step_option
    if not _is_one(correlation_id, filter_):
        act_on_many(url, Wish("SKIP", filter_ or "", reason, dry_run, expected, per_second, yes, place))
    elif place is None:
        raise ServerError("name the stuck step after the saga's ID.")
    else:
        _mend(url, "SKIP", id=correlation_id, step=place, reason=reason or "")


_one_or_many("CANCEL", "Ask a running saga to stop and undo its steps; with --filter, all sagas that match.")


@commands.command()
def unpark(
    filter_: Annotated[str, typer.Option("--filter", help="Which sagas; see retry.")] = "status=PARKED",
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    expected: ExpectedOption = None,
    per_second: PerSecondOption = 10,
    yes: YesOption = False,
    url: UrlOption = URL_DEFAULT,
) -> None:
    """Look at all PARKED sagas again that match."""
    act_on_many(url, Wish("UNPARK", filter_, reason, dry_run, expected, per_second, yes))


@commands.command()
def settle(
    correlation_id: _Id,
    how: Annotated[str, typer.Option(help="What was done by hand, in words, for the record.")],
    url: UrlOption = URL_DEFAULT,
) -> None:
    """Record how something that an ABANDONED saga left behind was settled, and take it off the worklist."""
    accepted(ask(url, _SETTLE, id=correlation_id, how=how)["mended"])
    _out.print("The saga is settled.")


def _is_one(correlation_id: str | None, filter_: str | None) -> bool:
    """Whether one saga is meant, and not all that match. Raises ServerError unless it is one or the other."""
    if (correlation_id is None) == (filter_ is None):
        raise ServerError("name one saga by its correlation ID, or several by --filter.")
    return filter_ is None


def _mend(url: str, kind: str, **variables: Any) -> None:
    saga = accepted(ask(url, _ONE[kind], **variables)["mended"])["saga"]
    # A token that may mend and not read is not shown the saga.
    _out.print("Done." if saga is None else f"The saga is {saga['status']}.")


def watch(
    correlation_id: Annotated[str, typer.Argument(help="The saga's correlation ID; it may be booked later.")],
    url: UrlOption = URL_DEFAULT,
    after: Annotated[int, typer.Option(help="Show events after this sequence.")] = 0,
) -> None:
    """Show a saga while it runs, and count down while it waits for its customer. Exits 0 if it ends COMPLETED.

    A lost connection resumes without gap or repeat.
    """

    async def watch_it() -> str:
        async with Client(url, customer_token() or operator_token()) as client:
            return await watch_saga(client, correlation_id, after)

    status = run_command(watch_it())
    raise typer.Exit(0 if status == "COMPLETED" else 1)


async def watch_saga(client: Client, correlation_id: str, after: int = 0) -> str:
    """Draw the events above `after` until the saga ends, and count down while it waits. Returns its last status."""
    console = Terminal()
    drawing = SagaDrawing(console)
    await client.reach()
    with Countdown(console, client) as countdown:
        async for event in client.follow(correlation_id, after, give_up=LOST_SECONDS_MAX):
            countdown.clear()
            drawing.draw(event)
            if event["type"] == "STEP_WAITING":
                saga = await _look(client, correlation_id)
                wait = Wait.of(saga, client)
                # Another event follows if the saga has gone on meanwhile.
                if wait is not None and saga["sequence"] == event["sequence"]:
                    countdown.show(wait)
    saga = await _look(client, correlation_id)
    drawing.conclude(saga)
    status: str = saga["status"]
    return status


async def _look(client: Client, correlation_id: str) -> dict[str, Any]:
    found: dict[str, Any] | None = (await client.look(_SAGA, id=correlation_id))["saga"]
    if found is None:
        raise ServerError(f"there is no saga {correlation_id}")
    return found
