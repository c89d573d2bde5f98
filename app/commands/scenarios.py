"""`seatsaga scenarios`: runs the scenarios of the server's definitions against it, and checks each result."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.table import Table

from app.client import Client, ServerError
from app.commands import URL_DEFAULT, UrlOption, operator_token
from app.commands.terminal import SagaDrawing, Terminal, as_data
from app.running import run_command

__all__ = ["PlayedScenario", "scenarios"]

DELAY_MS: Final = 60
POINTS: Final = 1_000
#: How long one request waits for a saga to wait.
WAIT_SECONDS: Final = 5
_DEFINITIONS: Final = """{ sagaDefinitions { name isCurrent scenarios {
  name payLater cards holderApproves failAt failedStep
  status failureCode completed compensated reservations payment isBooked redeemsPoints awardsMiles } } }"""


@dataclass(frozen=True, slots=True)
class PlayedScenario:
    """One scenario as the server describes it. `redeems`: the booking redeems points, which selects its saga."""

    definition: str
    redeems: bool
    outcome: Mapping[str, Any]

    @property
    def failing_step(self) -> str | None:
        """The step that is made to fail, if any."""
        step: str | None = self.outcome["failAt"]
        return step

    @property
    def name(self) -> str:
        """The scenario's name in the report."""
        return f"{self.definition}: {self.outcome['name']}"

    @property
    def card(self) -> str | None:
        """The token of the card that comes with the booking; None for the server's default, or none."""
        return None if self.outcome["payLater"] else next(iter(self.outcome["cards"]), None)

    @property
    def later_cards(self) -> Sequence[str]:
        """The tokens of the cards that are named while the saga waits."""
        cards: Sequence[str] = self.outcome["cards"]
        return cards if self.outcome["payLater"] else ()

    def expected(self) -> dict[str, Any]:
        """The expected status, completed steps in order, compensations in order, seats and money."""
        outcome = self.outcome
        return {
            "status": outcome["status"],
            "failedStep": outcome["failedStep"],
            "failureCode": outcome["failureCode"],
            "completed": outcome["completed"],
            "compensations": outcome["compensated"],
            "sequenceWithoutGap": True,
            "reservations": [outcome["reservations"]] if outcome["reservations"] else [],
            "payment": outcome["payment"],
            "booking": outcome["isBooked"],
            "pointsChanged": -POINTS if outcome["redeemsPoints"] else 0,
            "milesAwarded": outcome["awardsMiles"],
        }


async def _scenarios(client: Client) -> list[PlayedScenario]:
    """The scenarios of every booking saga that is current, i.e. that new bookings start with."""
    definitions = (await client.query(_DEFINITIONS))["sagaDefinitions"]
    return [
        PlayedScenario(definition["name"], any(each["redeemsPoints"] for each in definition["scenarios"]), outcome)
        for definition in definitions
        if definition["isCurrent"]
        for outcome in definition["scenarios"]
    ]


#: An earlier flight may be closed for booking, or close before all scenarios end.
LEAVES_LATER: Final = timedelta(hours=2)
_FLIGHTS: Final = """{ flights(first: 100) { edges { node { id departsAt fares { cabinClass seatsAvailable } } } } }"""
_ACCOUNT: Final = """query($number: String!) { loyaltyAccount(memberNumber: $number) { balance pendingMiles } }"""
_BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message path } } } }"""
_PAY: Final = """mutation($id: UUID!, $card: String!) {
  payForHold(input: {correlationId: $id, payment: {token: $card}}) {
    errors { __typename ... on UserError { message } } } }"""
_CONFIRM: Final = """mutation($id: UUID!) { confirmCard(input: {correlationId: $id}) { errors { __typename } } }"""
_AWAITED: Final = """query($id: UUID!, $seconds: Int!) { saga(correlationId: $id, waitSeconds: $seconds) {
  status awaiting { __typename ... on CardConfirmationAwaited { url } } } }"""
_SAGA: Final = """query($id: UUID!) { saga(correlationId: $id) {
  status failure { code step } steps { name status } queue { completed compensated }
  reservations { status } payment { status } booking { reference milesAwarded }
} }"""


def scenarios(
    url: UrlOption = URL_DEFAULT,
    report: Annotated[Path, typer.Option(help="The file to write expected and actual results to.")] = Path(
        "saga_test_report.json"
    ),
) -> None:
    """Run the scenarios of a running server through its API; exits 1 if any result is not as expected."""
    results = run_command(_run_all(url))
    passed = sum(result["passed"] for result in results)
    document = {
        "at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "server": url,
        "passed": passed,
        "failed": len(results) - passed,
        "scenarios": results,
    }
    report.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    _conclude(results, report)
    raise typer.Exit(0 if passed == len(results) else 1)


async def _run_all(url: str) -> list[dict[str, Any]]:
    console = Terminal()
    async with Client(url, operator_token()) as client:
        scenarios = await _scenarios(client)
        flight_id = await _flight_with_room(client, len(scenarios))
        members = _members(client, len(scenarios))
        results = []
        for number, scenario in enumerate(scenarios, start=1):
            console.print()
            console.print(f"{number}/{len(scenarios)} {scenario.name}", style="bold")
            results.append(await _run(client, console, scenario, flight_id, await anext(members)))
        return results


async def _run(
    client: Client, console: Terminal, scenario: PlayedScenario, flight_id: str, member: str
) -> dict[str, Any]:
    """Subscribe first, then book: the subscription waits for the saga."""
    correlation_id = str(uuid.uuid4())
    before = (await client.query(_ACCOUNT, number=member))["loyaltyAccount"]
    began = time.perf_counter()
    events: list[Mapping[str, Any]] = []
    drawing = SagaDrawing(console, indent="  ")

    async def follow() -> None:
        async for event in client.follow(correlation_id):
            events.append(event)
            drawing.draw(event)

    following = asyncio.create_task(follow())
    try:
        async with asyncio.timeout(60):
            await _book(client, scenario, correlation_id, flight_id, member)
            await _act(client, scenario, correlation_id)
            await following
    finally:
        following.cancel()
    seconds = time.perf_counter() - began
    saga = (await client.query(_SAGA, id=correlation_id))["saga"]
    after = (await client.query(_ACCOUNT, number=member))["loyaltyAccount"]
    drawing.conclude(saga)
    seen = _seen(events, saga, before, after)
    expected = scenario.expected()
    differs = {key: [expected[key], seen[key]] for key in expected if expected[key] != seen[key]}
    for key, (wanted, got) in differs.items():
        console.print(f"  {key}: expected {wanted}, seen {got}", style="bold red")
    return {
        "name": scenario.name,
        "definition": scenario.definition,
        "failAt": scenario.failing_step,
        "correlationId": correlation_id,
        "passed": not differs,
        "durationMs": round(seconds * 1_000),
        "expected": expected,
        "seen": seen,
        "events": [{key: event[key] for key in ("sequence", "type", "step", "compensation", "at")} for event in events],
    }


async def _book(client: Client, scenario: PlayedScenario, correlation_id: str, flight_id: str, member: str) -> None:
    answer = await client.query(
        _BOOK,
        input={
            "correlationId": correlation_id,
            "segments": [{"flightId": flight_id}],
            "passengers": [{"givenName": "Grace", "familyName": "Hopper"}],
            "loyalty": {"memberNumber": member, "pointsToRedeem": POINTS if scenario.redeems else 0},
            "payLater": scenario.outcome["payLater"],
            "payment": {"token": scenario.card} if scenario.card is not None else None,
            "simulate": {"failAt": [scenario.failing_step] if scenario.failing_step else [], "delayMs": DELAY_MS},
        },
    )
    _require_none(answer["bookFlight"]["errors"])


async def _act(client: Client, scenario: PlayedScenario, correlation_id: str) -> None:
    """Do what the customer of the scenario does while the saga waits."""
    for card in scenario.later_cards:
        await _awaited(client, correlation_id)
        answer = await client.query(_PAY, id=correlation_id, card=card)
        _require_none(answer["payForHold"]["errors"])
    approves = scenario.outcome["holderApproves"]
    if approves is not None:
        asked = await _awaited(client, correlation_id)
        if not asked.get("url"):
            raise ServerError("the card's holder can be played on the sandbox's page only")
        await client.submit(asked["url"], answer="approve" if approves else "refuse")
        # The page itself may have told the saga already.
        await client.query(_CONFIRM, id=correlation_id)


async def _awaited(client: Client, correlation_id: str) -> dict[str, Any]:
    """What the customer is asked for, once the saga waits for them."""
    while True:
        saga = (await client.look(_AWAITED, id=correlation_id, seconds=WAIT_SECONDS))["saga"]
        awaited: dict[str, Any] | None = saga["awaiting"]
        if awaited is not None:
            return awaited
        if saga["status"] not in ("PENDING", "RUNNING"):
            raise ServerError(f"saga {correlation_id} is {saga['status']}, and does not wait for its customer")


def _require_none(errors: list[dict[str, Any]]) -> None:
    if errors:
        raise ServerError("; ".join(f"{error['message']} ({error['__typename']})" for error in errors))


def _seen(
    events: Sequence[Mapping[str, Any]],
    saga: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any],
) -> dict[str, Any]:
    failure, booking = saga["failure"], saga["booking"]
    miles = booking["milesAwarded"] if booking else 0
    return {
        "status": saga["status"],
        "failedStep": failure["step"] if failure else None,
        "failureCode": failure["code"] if failure else None,
        "completed": [event["step"] for event in events if event["type"] == "STEP_COMPLETED"],
        "compensations": [event["compensation"] for event in events if event["type"] == "COMPENSATION_COMPLETED"],
        "sequenceWithoutGap": [event["sequence"] for event in events] == list(range(1, len(events) + 1)),
        "reservations": [reservation["status"] for reservation in saga["reservations"]],
        "payment": saga["payment"]["status"] if saga["payment"] else None,
        "booking": booking is not None,
        "pointsChanged": after["balance"] - before["balance"] - miles,
        "milesAwarded": miles > 0,
    }


async def _flight_with_room(client: Client, seats: int) -> str:
    soonest = datetime.now(UTC) + LEAVES_LATER
    for edge in (await client.query(_FLIGHTS))["flights"]["edges"]:
        economy = next(fare for fare in edge["node"]["fares"] if fare["cabinClass"] == "ECONOMY")
        is_sold = datetime.fromisoformat(edge["node"]["departsAt"]) > soonest
        if is_sold and economy["seatsAvailable"] >= seats:
            flight_id: str = edge["node"]["id"]
            return flight_id
    raise ServerError("no flight on sale has enough free seats; load a timetable with: seatsaga seed")


async def _members(client: Client, number_max: int) -> AsyncIterator[str]:
    """Demo members with enough points, `number_max` at most, in turn."""
    found = []
    for number in range(1, 101):
        member = f"SS{number:07d}"
        account = (await client.query(_ACCOUNT, number=member))["loyaltyAccount"]
        if account is not None and account["balance"] >= POINTS and account["pendingMiles"] == 0:
            found.append(member)
        if len(found) == number_max:
            break
    if not found:
        raise ServerError(f"no demo member has {POINTS} points; add them with: seatsaga seed")
    for member in itertools.cycle(found):
        yield member


def _conclude(results: list[dict[str, Any]], report: Path) -> None:
    table = Table("scenario", "expected", "seen", "compensations", "ms", "")
    for result in results:
        table.add_row(
            result["name"],
            result["expected"]["status"],
            result["seen"]["status"],
            str(len(result["seen"]["compensations"])),
            str(result["durationMs"]),
            as_data("✔", "green") if result["passed"] else as_data("✘", "red"),
        )
    console = Terminal()
    console.print(table)
    passed = sum(result["passed"] for result in results)
    console.print(f"{passed} of {len(results)} as expected; {report} has the details.")
