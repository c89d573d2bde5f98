"""`seatsaga book`, `pay` and `confirm`: what a customer does, over the API of a running server."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, cast

import msgspec
import typer
from seatsaga_client import BookFlight, RefusedError, Saga, UnavailableError, documents

from app.client import Client, ServerError, remedied
from app.commands import URL_DEFAULT, UrlOption, customer_token
from app.commands.sagas import watch_saga
from app.commands.terminal import Terminal
from app.commands.waits import AWAITED, Wait
from app.running import run_command
from domain.seats import CabinClass

__all__ = ["book", "confirm", "pay"]

#: How many dates are searched for a flight if none is named.
DATES_MAX: Final = 30
#: How long a command waits for what comes of it; a call that fails is retried for up to a minute.
RESULT_SECONDS_MAX: Final = 90.0
#: How long the provider may take to say whether the card's holder has answered.
LOOK_SECONDS_MAX: Final = 3.0
_LOOK_AGAIN_SECONDS: Final = 0.2

_REMEDIES: Final = {
    "FlightNotFoundError": "Leave --flight out to search for one.",
    "NothingToPayError": "See how it goes on: seatsaga watch SAGA_ID",
    "SagaNotFoundError": "Check the ID, and that SEATSAGA_TOKEN is its customer's.",
}

_out = Terminal()
_err = Terminal(stderr=True, soft_wrap=True)
_Id = Annotated[uuid.UUID, typer.Argument(help="The saga's correlation ID.", metavar="ID", show_default=False)]
_Card = Annotated[
    str | None,
    typer.Option(
        "--token", metavar="CARD", help="The provider's token for the card, as pm_card_visa, the sandbox's default."
    ),
]
_Watch = Annotated[bool, typer.Option("--watch", help="Show every event until the saga ends, as `seatsaga watch`.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the saga as one JSON object, for machines.")]

_FIELDS: Final = f"""{AWAITED} definition failure {{ code message step }}
  flights {{ id number origin {{ code }} destination {{ code }} departsAt }}
  reservations {{ status seat {{ number }} flight {{ number }} }}
  payment {{ status amount {{ amount currency }} }} booking {{ reference }}"""
#: Trusted by a server that runs trusted documents only.
DOCUMENTS: Final = documents(_FIELDS)
_FLIGHT: Final = "id fares { cabinClass seatsAvailable }"
_ON_DATE: Final = f"""query($on: Date!) {{
  flights(filter: {{departsOn: $on}}, first: 100) {{ edges {{ node {{ {_FLIGHT} }} }} }} }}"""
_ON_ROUTE: Final = f"""query($trip: TripSearchInput!) {{ searchTrips(input: $trip) {{ outbound {{ {_FLIGHT} }} }} }}"""


def book(
    passenger: Annotated[
        list[str], typer.Option(help="'GIVEN NAMES FAMILY', or 'FAMILY, GIVEN NAMES'; repeat it for each, 1 to 9.")
    ],
    flight: Annotated[
        list[str] | None, typer.Option(help="A flight's id; repeat it in travel order. Left out, one is searched for.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="AIRPORT", help="Search from here, as AMS; needs --to.")
    ] = None,
    destination: Annotated[str | None, typer.Option("--to", metavar="AIRPORT", help="Search to here.")] = None,
    on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Search on this date, else from tomorrow on."),
    ] = None,
    cabin: Annotated[CabinClass, typer.Option(help="For all passengers.", case_sensitive=False)] = CabinClass.ECONOMY,
    seat: Annotated[
        list[str] | None, typer.Option(help="A seat, as 12C; repeat it for each passenger. Left out, they are chosen.")
    ] = None,
    member: Annotated[str | None, typer.Option(help="The loyalty member who earns miles, as SS0000001.")] = None,
    points: Annotated[int, typer.Option(help="Pay with this many of the member's points.", min=0)] = 0,
    token: _Card = None,
    hold: Annotated[bool, typer.Option("--hold", help="Hold the seats and pay later, with `seatsaga pay`.")] = False,
    watch: _Watch = False,
    fail_at: Annotated[list[str] | None, typer.Option(help="Let this step fail, as CONFIRM_BOOKING.")] = None,
    delay_ms: Annotated[int, typer.Option(help="Pause before every step, to watch; at most 5000.", min=0)] = 0,
    correlation_id: Annotated[
        uuid.UUID | None,
        typer.Option("--id", help="The correlation ID. If an answer was lost, the same again books once."),
    ] = None,
    as_json: _Json = False,
    url: UrlOption = URL_DEFAULT,
) -> None:
    """Book seats, or hold them and pay later. Exits 0 if they are booked or held, 1 if the booking failed."""
    _not_both(watch, as_json)
    if hold and token is not None:
        raise typer.BadParameter("--hold takes no --token; `seatsaga pay` names the card.")
    if points and member is None:
        raise typer.BadParameter("--points needs --member.")
    if flight and (origin or destination or on):
        raise typer.BadParameter("--flight names the flight; leave --from, --to and --on out.")
    if (origin is None) != (destination is None):
        raise typer.BadParameter("--from and --to go together.")
    if seat and flight and len(flight) > 1:
        raise typer.BadParameter("--seat is for one flight.")
    request: dict[str, Any] = {
        "correlationId": str(correlation_id or uuid.uuid4()),
        "passengers": [_passenger(name) for name in passenger],
        "payLater": hold,
    }
    if member is not None:
        request["loyalty"] = {"memberNumber": member, "pointsToRedeem": points}
    if token is not None:
        request["payment"] = {"token": token}
    if fail_at or delay_ms:
        request["simulate"] = {"failAt": fail_at or [], "delayMs": delay_ms}

    async def book_it() -> int:
        async with Client(url, customer_token()) as client:
            await client.reach()
            flights = flight or [await _search(client, origin, destination, on and on.date(), cabin, len(passenger))]
            request["segments"] = [{"flightId": each, "cabinClass": cabin, "seats": seat or None} for each in flights]
            # An interrupted command leaves the ID by which the saga can be followed.
            _err.print(f"Saga {request['correlationId']}")
            try:
                saga = await _asked(client.book(cast(BookFlight, request), fields=_FIELDS))
            except UnavailableError as error:
                same = "" if flight else f" and, in place of a search, --flight {flights[0]}"
                again = f"Repeat the command with --id {request['correlationId']}{same}: it books once."
                raise ServerError(f"{remedied(error)} {again}") from error
            return await _conclude(client, saga, is_watched=watch, as_json=as_json)

    raise typer.Exit(run_command(book_it()))


def pay(
    correlation_id: _Id,
    token: _Card = None,
    watch: _Watch = False,
    as_json: _Json = False,
    url: UrlOption = URL_DEFAULT,
) -> None:
    """Pay for held seats; after a decline, with another card.

    Exits 0 if the seats are booked or the bank asks the card's holder, 1 if not.
    """
    _not_both(watch, as_json)

    async def pay_it() -> int:
        async with Client(url, customer_token()) as client:
            await client.reach()
            saga = await _asked(client.pay(str(correlation_id), token, fields=_FIELDS))
            return await _conclude(client, saga, is_watched=watch, as_json=as_json)

    raise typer.Exit(run_command(pay_it()))


def confirm(correlation_id: _Id, watch: _Watch = False, as_json: _Json = False, url: UrlOption = URL_DEFAULT) -> None:
    """Ask whether the card's holder has answered the bank; if not, show the page to open.

    Exits 0 if the seats are booked, 1 if not.
    """
    _not_both(watch, as_json)

    async def confirm_it() -> int:
        async with Client(url, customer_token()) as client:
            await client.reach()
            saga = await _looked(client, str(correlation_id))
            return await _conclude(client, saga, is_watched=watch, as_json=as_json, may_wait=False)

    raise typer.Exit(run_command(confirm_it()))


def _not_both(watch: bool, as_json: bool) -> None:
    if watch and as_json:
        raise typer.BadParameter("choose --watch or --json.")


def _passenger(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        given, _, family = name.strip().rpartition(" ")
    if not given.strip() or not family.strip():
        raise typer.BadParameter(f"{name!r} is not a given and a family name, as 'Ada Lovelace'.")
    return {"givenName": given.strip(), "familyName": family.strip()}


async def _search(
    client: Client, origin: str | None, destination: str | None, on: date | None, cabin: str, seats: int
) -> str:
    """The id of the first flight with so many free seats, on this date or else on the first date from tomorrow on."""
    tomorrow = datetime.fromtimestamp(client.server_now(), UTC).date() + timedelta(days=1)
    for departs_on in [on] if on else [tomorrow + timedelta(days=days) for days in range(DATES_MAX)]:
        for flight in await _flights(client, origin, destination, departs_on, cabin, seats):
            fare = next(fare for fare in flight["fares"] if fare["cabinClass"] == cabin)
            if fare["seatsAvailable"] >= seats:
                found: str = flight["id"]
                return found
    route = f" from {origin} to {destination}" if origin else ""
    raise ServerError(
        f"no flight{route} has enough {cabin} seats {f'on {on}' if on else f'within {DATES_MAX} days'}; choose another "
        "date, cabin or route, or load a timetable with: seatsaga seed"
    )


async def _flights(
    client: Client, origin: str | None, destination: str | None, departs_on: date, cabin: str, seats: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]]
    if origin is None:
        edges = (await client.query(_ON_DATE, on=str(departs_on)))["flights"]["edges"]
        found = [edge["node"] for edge in edges]
    else:
        trip: dict[str, Any] = {"origin": origin, "destination": destination, "departsOn": str(departs_on)}
        trip |= {"cabinClass": cabin, "passengers": seats}
        found = (await client.query(_ON_ROUTE, trip=trip))["searchTrips"]["outbound"]
    return found


async def _asked(answer: Awaitable[Saga]) -> dict[str, Any]:
    """The saga after a mutation. Raises ServerError with the reasons, and what to do, if it is refused."""
    try:
        return dict(await answer)
    except RefusedError as refused:
        words = [error["message"] for error in refused.errors]
        words += [_REMEDIES[error["__typename"]] for error in refused.errors if error["__typename"] in _REMEDIES]
        raise ServerError(" ".join(words).replace("SAGA_ID", refused.correlation_id or "")) from refused


async def _looked(client: Client, correlation_id: str) -> dict[str, Any]:
    """The saga after the server has looked for the holder's answer, or as it is if it waits for none."""
    try:
        saga = asked = await _asked(client.confirm(correlation_id, fields=_FIELDS))
    except ServerError as error:
        if not isinstance(error.__cause__, RefusedError) or error.__cause__.code != "NOTHING_TO_PAY":
            raise
        saga = asked = await _look(client, correlation_id)
    # A look that finds no answer leaves no event.
    deadline = time.monotonic() + LOOK_SECONDS_MAX
    while _asks_holder(saga) and saga["sequence"] == asked["sequence"] and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        saga = await _look(client, correlation_id)
    return saga


def _asks_holder(saga: dict[str, Any]) -> bool:
    return saga["awaiting"] is not None and saga["awaiting"]["__typename"] == "CardConfirmationAwaited"


async def _look(client: Client, correlation_id: str) -> dict[str, Any]:
    return dict(await client.saga(correlation_id, fields=_FIELDS))


async def _conclude(
    client: Client, saga: dict[str, Any], *, is_watched: bool, as_json: bool, may_wait: bool = True
) -> int:
    """Show what comes of it. Returns 0 if the seats are booked, or if it waits for the customer and it may; else 1."""
    if is_watched:
        return 0 if await watch_saga(client, saga["correlationId"]) == "COMPLETED" else 1
    saga = dict(await client.wait(saga["correlationId"], RESULT_SECONDS_MAX, fields=_FIELDS))
    if as_json:
        typer.echo(msgspec.json.encode(saga).decode())
    else:
        for line in _words(saga, client):
            _out.print(line, soft_wrap=True)
    waits_well = saga["status"] == "WAITING" and not (saga["awaiting"] or {}).get("lastFailure")
    return 0 if saga["status"] == "COMPLETED" or (may_wait and waits_well) else 1


def _words(saga: dict[str, Any], client: Client) -> list[str]:
    """The result, for a person."""
    seats = [f"{each['seat']['number']} on {each['flight']['number']}" for each in saga["reservations"]]
    wait, failure, payment = Wait.of(saga, client), saga["failure"], saga["payment"]
    match saga["status"]:
        case "COMPLETED":
            paid = f" {payment['amount']['amount']} {payment['amount']['currency']} paid." if payment else ""
            return [f"Booked: {saga['booking']['reference']}. Seats: {', '.join(seats)}.{paid}"]
        case "WAITING" if wait is not None:
            return [f"Held: {', '.join(seats)}.", wait.line(client.server_now())]
        case "COMPENSATED":
            return [f"Not booked: {failure['message']} ({failure['code']}) Everything is undone."]
        case status:
            return [f"The saga is {status}. Follow it with: seatsaga watch {saga['correlationId']}"]
