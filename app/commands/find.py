"""`seatsaga find`: looks up what a text names, over the API of a running server."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.table import Table

from app.commands import URL_DEFAULT, UrlOption
from app.commands.asking import ask, print_lines
from app.commands.terminal import Terminal

__all__ = ["find"]

HITS_MAX: Final = 100
EXIT_NOTHING_FOUND: Final = 1
_SEARCH: Final = """query($text: String!, $first: Int!) { search(text: $text, first: $first) {
  __typename
  ... on Saga { ...Run }
  ... on Booking { reference bookingStatus: status passengers { givenName familyName } saga { ...Run } }
  ... on Flight { number departsAt origin { code } destination { code } seatsAvailable }
  ... on LoyaltyAccount { memberNumber name balance }
} }
fragment Run on Saga {
  correlationId definition status startedAt flights { number departsAt } passengers { givenName familyName }
}"""


def find(
    text: Annotated[
        str,
        typer.Argument(
            help="A correlation ID or its beginning, a booking's reference, a flight number with or without a date, "
            "a member number, the provider's reference, or a passenger's family or full name."
        ),
    ],
    url: UrlOption = URL_DEFAULT,
    limit: Annotated[int, typer.Option(help="How many, 1 to 100.", min=1, max=HITS_MAX)] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Find sagas, bookings, flights and members by what a customer says, the best match first.

    Exits with 1 if there is nothing.
    """
    hits = ask(url, _SEARCH, text=text, first=limit)["search"]
    if json:
        print_lines(hits)
    elif hits:
        table = Table("what", "name", "status", "who", "flights", "correlation ID")
        for hit in hits:
            table.add_row(*_row(hit))
        Terminal().print(table)
    else:
        Terminal().print("Nothing found.")
    if not hits:
        raise typer.Exit(EXIT_NOTHING_FOUND)


def _row(hit: dict[str, Any]) -> tuple[str, ...]:
    match hit["__typename"]:
        case "Saga":
            return "saga", hit["definition"], hit["status"], _people(hit), _flights(hit), hit["correlationId"]
        case "Booking":
            saga = hit["saga"]
            status = hit["bookingStatus"]
            return "booking", hit["reference"], status, _people(hit), _flights(saga), saga["correlationId"]
        case "Flight":
            route = f"{hit['origin']['code']} to {hit['destination']['code']}, {hit['departsAt'][:16]}Z"
            return "flight", hit["number"], f"{hit['seatsAvailable']} seats free", "", route, ""
        case _:
            return "member", hit["memberNumber"], f"{hit['balance']:,} points", hit["name"], "", ""


def _people(of: dict[str, Any]) -> str:
    return ", ".join(f"{each['givenName']} {each['familyName']}" for each in of["passengers"])


def _flights(saga: dict[str, Any]) -> str:
    return ", ".join(f"{each['number']} {each['departsAt'][:10]}" for each in saga["flights"])
