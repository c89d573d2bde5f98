"""/sandbox/confirm/SECRET: the sandbox's page on which a card's holder approves or refuses a payment (3-D Secure).

::

    GET   the question, or what came of it
    POST  answer=approve or answer=refuse, from the page's form; then the page again

It stands for the page of the holder's bank, so it asks for no token of ours: the bearer of the secret
in its address is the holder. It is served with the sandbox's payments alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import parse_qs

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.http.answers import HttpRefusal, problem
from app.http.base_path import base_path_of
from app.http.browser_safety import is_from_our_page
from app.http.console import inline_hashes
from app.http.negotiation import parse_media_type
from app.http.operations import Bodies
from domain.payments import ProviderState
from sandbox import HOLDER_PATH, Asked, SandboxGateway

__all__ = ["OnAnswer", "holder_page"]

#: Called with a payment's reference once there may be news of it.
OnAnswer = Callable[[str], Awaitable[None]]
BODY_BYTES_MAX: Final = 1_024
_FORM: Final = "application/x-www-form-urlencoded"
_ANSWERS: Final = {"approve": True, "refuse": False}
_GO_BACK: Final = "You can close this page and go back to your booking."
_BUTTONS: Final = (
    '<form method="post"><button name="answer" value="approve">Approve</button>'
    '<button name="answer" value="refuse">Refuse</button></form>\n'
)


def holder_page(gateway: SandboxGateway, *, on_answer: OnAnswer) -> Route:
    """The page. `on_answer` is called once an answer is in the sandbox's books and the redirect is sent."""
    bodies = Bodies(BODY_BYTES_MAX)

    async def endpoint(request: Request) -> Response:
        secret: str = request.path_params["secret"]
        if request.method != "POST":
            return _page(await gateway.asked(secret))
        answer = await _read(request, bodies)
        if isinstance(answer, Response):
            return answer
        asked = await gateway.hear(secret, approves=answer)
        if asked is None:
            return _page(None)
        here = base_path_of(request.scope) + request.scope["path"]
        return RedirectResponse(here, 303, background=BackgroundTask(on_answer, asked.payment.reference))

    return Route(f"{HOLDER_PATH}{{secret}}", endpoint, methods=["GET", "POST"])


async def _read(request: Request, bodies: Bodies) -> bool | Response:
    """Whether the holder approves, or why that cannot be read."""
    if not is_from_our_page(request.headers):
        return problem(403, "Only this server's own page may answer for the card's holder.")
    kind, _ = parse_media_type(request.headers.get("content-type", ""))
    if kind != _FORM:
        return problem(415, f"Send {_FORM}.", headers={"Accept": _FORM})
    body = await bodies.read(request)
    if isinstance(body, HttpRefusal):
        return problem(body.status, body.message, headers=body.headers)
    try:
        (word,) = parse_qs(body.decode("ascii"), max_num_fields=2)["answer"]
        return _ANSWERS[word]
    except (ValueError, KeyError):
        return problem(422, "Send answer=approve or answer=refuse.")


def _page(asked: Asked | None) -> Response:
    if asked is None:
        return _html(404, "Nothing to confirm", "There is no payment to confirm at this address.")
    amount = f"<strong>{escape(str(asked.amount))}</strong>"
    match asked.payment.state:
        case ProviderState.NEEDS_HOLDER:
            return _html(200, "Confirm your payment", f"seatsaga asks you to pay {amount}.", _BUTTONS)
        case ProviderState.AUTHORIZED | ProviderState.CAPTURED:
            return _html(200, "Confirmed", f"You approved the payment of {amount}. {_GO_BACK}")
        case ProviderState.OPEN:
            return _html(200, *_refused(asked, amount))
        case _:
            return _html(200, "Cancelled", f"The payment of {amount} was cancelled. Nothing is charged. {_GO_BACK}")


def _refused(asked: Asked, amount: str) -> tuple[str, str]:
    refusal = asked.payment.refusal
    if refusal is None or refusal.code == "CARD_NOT_CONFIRMED":
        return "Refused", f"You refused the payment of {amount}. Nothing is charged. {_GO_BACK}"
    reason = escape(refusal.message)
    return "Declined", f"You approved the payment of {amount}, and the bank declined it. {reason} {_GO_BACK}"


def _html(status: int, title: str, text: str, form: str = "") -> Response:
    template, policy = _template()
    headers = {
        "Content-Security-Policy": policy,
        # With no-referrer, browsers would not name the origin of the form.
        "Referrer-Policy": "strict-origin",
    }
    return HTMLResponse(template.substitute(title=title, text=text, form=form), status, headers)


@cache
def _template() -> tuple[Template, str]:
    html = files("app.http").joinpath("pages", "confirm.html").read_text("utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {inline_hashes(html, 'style')}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'self'",
            # The console shows the page in a dialog.
            "frame-ancestors 'self'",
        )
    )
    return Template(html), policy
