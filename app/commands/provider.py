"""`seatsaga provider`: shows the payment provider's breaker, and pauses or resumes the provider."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from app.commands import URL_DEFAULT, UrlOption
from app.commands.asking import accepted, ask
from app.commands.terminal import Terminal

__all__ = ["commands"]

commands = typer.Typer(
    add_completion=False,
    help="See, pause and resume the payment provider.",
    invoke_without_command=True,
)
_out = Terminal()
_FIELDS: Final = """
  name breaker since reason callsInFlight callsWaiting callsPerSecondMax lastFailure { code message }"""
_STATUS: Final = f"{{ paymentProvider {{ {_FIELDS} }} }}"


def _mutation(name: str) -> str:
    return f"""mutation($reason: String!) {{ steered: {name}(input: {{ reason: $reason }}) {{
      provider {{ {_FIELDS} }} errors {{ message }} }} }}"""


_PAUSE: Final = _mutation("pausePaymentProvider")
_RESUME: Final = _mutation("resumePaymentProvider")
_Reason = Annotated[str, typer.Option("--reason", help="Why, for the record of operator actions.")]


@commands.callback()
def provider(context: typer.Context, url: UrlOption = URL_DEFAULT) -> None:
    """See, pause and resume the payment provider."""
    if context.invoked_subcommand is None:
        status(url)


@commands.command()
def status(url: UrlOption = URL_DEFAULT) -> None:
    """Show the breaker of the replica that answers, and what waits for the provider."""
    _show(ask(url, _STATUS)["paymentProvider"])


@commands.command()
def pause(reason: _Reason, url: UrlOption = URL_DEFAULT) -> None:
    """Send no call to the provider from any replica, until it is resumed."""
    _steer(url, _PAUSE, reason)


@commands.command()
def resume(reason: _Reason, url: UrlOption = URL_DEFAULT) -> None:
    """Send calls again, a few at first."""
    _steer(url, _RESUME, reason)


def _steer(url: str, mutation: str, reason: str) -> None:
    _show(accepted(ask(url, mutation, reason=reason)["steered"])["provider"])


def _show(provider: dict[str, Any]) -> None:
    why = f": {provider['reason']}" if provider["reason"] else ""
    _out.print(f"{provider['name']} is {provider['breaker']} since {provider['since']}{why}")
    rate = provider["callsPerSecondMax"]
    limit = "any number of requests a second" if rate is None else f"{rate:g} requests a second"
    _out.print(f"{provider['callsInFlight']} calls in flight, {provider['callsWaiting']} waiting; {limit} may be sent.")
    failure = provider["lastFailure"]
    if failure is not None:
        _out.print(f"The last failure: {failure['code']}: {failure['message']}")
