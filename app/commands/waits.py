"""What a waiting saga asks of its customer, in words, with the time that is left by the server's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from rich.live import Live

from app.client import Client
from app.commands import URL_DEFAULT
from app.commands.terminal import Terminal, as_data

__all__ = ["AWAITED", "Countdown", "Wait"]

#: The fields of a saga that `Wait.of` needs.
AWAITED: Final = """correlationId awaiting { __typename until lastFailure { code message }
  ... on PaymentAwaited { amount { amount currency } } ... on CardConfirmationAwaited { url clientSecret } }"""
_DRAWN_PER_SECOND: Final = 4


@dataclass(frozen=True, slots=True)
class Wait:
    """What is wanted, and why the try before failed. `until`: seconds since the epoch, by the server's clock."""

    until: float
    wanted: str
    failure: str | None = None

    @classmethod
    def of(cls, saga: dict[str, Any], client: Client) -> Self | None:
        """What `saga` waits for; None if it does not wait, or if the caller may not know for what."""
        awaited: dict[str, Any] | None = saga["awaiting"]
        if awaited is None:
            return None
        until, failure = datetime.fromisoformat(awaited["until"]).timestamp(), awaited["lastFailure"]
        wanted = _wanted(awaited, saga["correlationId"], client)
        return cls(until, wanted, failure["message"] if failure else None)

    def line(self, now: float) -> str:
        """One line, as it is at `now` by the server's clock."""
        left = f"{_span(self.until - now)} left {self.wanted}"
        return f"{self.failure} {left}" if self.failure else left


def _wanted(awaited: dict[str, Any], correlation_id: str, client: Client) -> str:
    at = "" if client.url == URL_DEFAULT else f" --url {client.url}"
    match awaited["__typename"]:
        case "PaymentAwaited":
            amount, card = awaited["amount"], " with another card" if awaited["lastFailure"] else ""
            pay = f"seatsaga pay {correlation_id} --token CARD{at}"
            return f"to pay {amount['amount']} {amount['currency']}{card}. Run: {pay}"
        case "CardConfirmationAwaited" if awaited["url"]:
            return f"for the card's holder to answer the bank. Open: {client.address(awaited['url'])}"
        case "CardConfirmationAwaited" if awaited["clientSecret"]:
            return "for the card's holder to answer the bank, on the page that took the card."
        case "CardConfirmationAwaited":
            return f"for the card's holder to answer the bank. For the page, run: seatsaga confirm {correlation_id}{at}"
        case _:
            return "for the customer to answer."


def _span(seconds: float) -> str:
    """Minutes and seconds, with hours if there are any; never below zero."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Countdown:
    """The last line of a terminal, anew each second; elsewhere one line for each wait."""

    def __init__(self, console: Terminal, client: Client) -> None:
        self._console = console
        self._client = client
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.clear()

    def show(self, wait: Wait) -> None:
        """Count down until `clear`."""
        self.clear()

        def now() -> Any:
            return as_data(wait.line(self._client.server_now()), "yellow")

        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                get_renderable=now, console=self._console, transient=True, refresh_per_second=_DRAWN_PER_SECOND
            )
            self._live.start()
        else:
            self._console.print(now(), soft_wrap=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
