"""The sandbox's page for a card's holder, over a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette

from app.http.holder_page import BODY_BYTES_MAX, holder_page
from domain.outcome import Succeeded
from domain.payments import ProviderState
from sandbox import SandboxGateway, SqliteBooks
from tests.app.whole import whole
from tests.domain.payments.bank import order, state_of
from tests.support.serving import serving

PI: Final = "pi_1"
ASKS: Final = "pm_card_threeDSecure2Required"
ASKS_AND_DECLINES: Final = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"


@dataclass
class Desk:
    """A sandbox whose page is served, and the references that it was told of."""

    gateway: SandboxGateway
    http: httpx.AsyncClient
    told: list[str] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_answer(self, reference: str) -> None:
        self.told.append(reference)
        self.heard.set()

    async def ask(self, card: str = ASKS, key: str = "a1") -> str:
        """The address of the page on which the holder is asked."""
        outcome = await self.gateway.authorize(PI, order(card), key)
        assert isinstance(outcome, Succeeded)
        url: str = outcome.data.url
        return url

    async def answer(self, url: str, word: str) -> httpx.Response:
        return await self.http.post(url, data={"answer": word}, follow_redirects=True)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    gateway = SandboxGateway(SqliteBooks(tmp_path / "sandbox.db"))
    await gateway.start()
    async with httpx.AsyncClient() as http:
        desk = Desk(gateway, http)
        async with serving(Starlette(routes=[holder_page(gateway, on_answer=desk.on_answer)])) as served:
            http.base_url = httpx.URL(served.url)
            yield desk
    await gateway.close()


def buttons(page: httpx.Response) -> list[str]:
    return re.findall(r'<button name="answer" value="(\w+)">', page.text)


async def test_the_page_names_the_amount_and_two_answers_and_runs_no_script(desk: Desk) -> None:
    page = await desk.http.get(await desk.ask())
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<strong>123.45 USD</strong>" in page.text
    assert buttons(page) == ["approve", "refuse"]
    assert "<script" not in page.text
    assert await state_of(desk.gateway, PI) is ProviderState.NEEDS_HOLDER
    assert desk.told == []


@pytest.mark.parametrize(
    ("card", "word", "said", "state"),
    [
        (ASKS, "approve", "You approved the payment of <strong>123.45 USD</strong>.", ProviderState.AUTHORIZED),
        (ASKS, "refuse", "You refused the payment of <strong>123.45 USD</strong>.", ProviderState.OPEN),
        (ASKS_AND_DECLINES, "approve", "declined it. The card has insufficient funds.", ProviderState.OPEN),
    ],
)
async def test_the_answer_is_taken_once_shown_and_told(
    desk: Desk, card: str, word: str, said: str, state: ProviderState
) -> None:
    url = await desk.ask(card)
    page = await desk.answer(url, word)
    assert (page.status_code, page.request.method, page.request.url.path) == (200, "GET", url)
    assert said in page.text
    assert "go back to your booking" in page.text
    assert buttons(page) == []
    async with asyncio.timeout(20):
        await desk.heard.wait()
    assert desk.told == [PI]
    for again in ("approve", "refuse"):
        assert said in (await desk.answer(url, again)).text
        assert await state_of(desk.gateway, PI) is state


async def test_a_payment_that_was_given_up_is_shown_so_and_takes_no_answer(desk: Desk) -> None:
    url = await desk.ask()
    await desk.gateway.void(PI, "v")
    assert "was cancelled" in (await desk.http.get(url)).text
    assert "was cancelled" in (await desk.answer(url, "approve")).text
    assert await state_of(desk.gateway, PI) is ProviderState.VOIDED


async def test_an_address_that_nobody_was_given_shows_nothing(desk: Desk) -> None:
    url = await desk.ask()
    for guess in (url[:-1], f"{url[:-32]}{'0' * 32}", "/sandbox/confirm/pi_1", "/sandbox/confirm/%00", f"{url}%0A"):
        for answer in (await desk.http.get(guess), await desk.answer(guess, "approve")):
            assert answer.status_code == 404
            assert "There is no payment to confirm at this address." in answer.text
            assert "123.45" not in answer.text
    assert await state_of(desk.gateway, PI) is ProviderState.NEEDS_HOLDER
    assert desk.told == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("answer=yes", {}, 422),
        ("", {}, 422),
        ("answer=", {}, 422),
        ("answer=approve&answer=refuse", {}, 422),
        ("answer=approve&a=1&b=2&c=3", {}, 422),
        ("answer=%ff", {}, 422),
        ("answer=\xff", {}, 422),
        ('{"answer": "approve"}', {"content-type": "application/json"}, 415),
        ("answer=approve", {"content-type": "text/plain"}, 415),
        ("answer=approve&x=" + "x" * BODY_BYTES_MAX, {}, 413),
        ("answer=approve", {"origin": "https://evil.example"}, 403),
        ("answer=approve", {"origin": "http://localhost:1"}, 403),
        ("answer=approve", {"origin": "null"}, 403),
    ],
)
async def test_what_the_page_would_not_send_is_refused_with_its_reason(
    desk: Desk, body: str, headers: dict[str, str], status: int
) -> None:
    url = await desk.ask()
    given = {"content-type": "application/x-www-form-urlencoded", **headers}
    answer = await desk.http.post(url, content=body.encode("latin-1"), headers=given)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith(".")
    assert "_secret_" not in answer.text
    assert await state_of(desk.gateway, PI) is ProviderState.NEEDS_HOLDER
    assert desk.told == []


async def test_our_own_page_may_answer(desk: Desk) -> None:
    origin = f"http://{desk.http.base_url.host}:{desk.http.base_url.port}"
    answer = await desk.http.post(await desk.ask(), data={"answer": "approve"}, headers={"origin": origin})
    assert answer.status_code == 303
    assert await state_of(desk.gateway, PI) is ProviderState.AUTHORIZED


# ---------------------------------------------------------------------- in the whole application


async def test_it_is_served_under_a_policy_and_its_address_is_in_no_log(sqlite_template: Path, tmp_path: Path) -> None:
    async with whole(sqlite_template, tmp_path) as served:
        gateway = served.app.state.backend.gateway
        outcome = await gateway.authorize(PI, order(ASKS), "a1")
        url = outcome.data.url
        shown = await served.http.get(url)
        answered = await served.http.post(url, data={"answer": "approve"})
        missing = await served.http.get(f"{url}0")
    assert (shown.status_code, answered.status_code, missing.status_code) == (200, 303, 404)
    assert answered.headers["location"] == url
    for page in (shown, missing):
        policy = page.headers["content-security-policy"]
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[\w+/=]+'; img-src data:; base-uri 'none'; form-action 'self'; "
            r"frame-ancestors 'self'",
            policy,
        )
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "strict-origin"
    logged = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert logged.count("/sandbox/confirm/pi_1_secret_[redacted]") == 3
    assert url not in logged


async def test_without_the_sandbox_there_is_no_such_page(sqlite_template: Path, tmp_path: Path) -> None:
    async with whole(sqlite_template, tmp_path, payments="stripe", stripe_api_key="sk_test_1") as served:
        assert (await served.http.get(f"/sandbox/confirm/{PI}_secret_{'0' * 32}")).status_code == 404
