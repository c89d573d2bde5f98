"""A whole run of the server, with everything that can go wrong in it: no secret comes out anywhere.

Whatever the server answers, logs, prints and keeps in its log of events is written down, and then
searched for each secret that went in.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.app.schemas import on
from tests.app.whole import fill
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.sequences import EARN, steps_of
from tests.support.serving import serving
from tests.support.waiting import eventually

JWT_SECRET: Final = "HUNTER2-jwt-secret-of-more-than-32-characters"
ADMIN_TOKEN: Final = "HUNTER2-admin-token"
STRIPE_KEY: Final = "sk_test_HUNTER2stripekey"
PASSWORD: Final = "HUNTER2databasepassword"
GUESS: Final = "HUNTER2-guessed-token"
#: Taken by the sandbox, and not named by the API's own descriptions.
GOOD_CARD: Final = "pm_card_mastercard"
LOST_CARD: Final = "pm_card_chargeDeclinedLostCard"
UNKNOWN_CARDS: Final = ("tok_HUNTER2card", "HUNTER2 no prefix", "4000002500003155")
CARDS: Final = (GOOD_CARD, LOST_CARD, *UNKNOWN_CARDS)
ASKING_CARD: Final = "pm_card_authenticationRequired"
WEBHOOK_SECRET: Final = "whsec_HUNTER2webhook"

BOOK: Final = """mutation Book($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message path } } } }"""
CANCEL: Final = """mutation Cancel($input: CancelSagaInput!) { cancelSaga(input: $input) {
  saga { status } errors { __typename } } }"""
EVERYTHING: Final = """query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) {
  status failure { code message } steps { summary failure { message } undo { summary failure { message } } }
  payment { status providerReference } booking { reference }
  events { sequence type message failure { code message } } } }"""
PAY: Final = """mutation Pay($id: UUID!, $card: String) {
  payForHold(input: {correlationId: $id, payment: {token: $card}}) { saga { status }
    errors { __typename ... on UserError { message path } } } }"""
AWAITING: Final = """query($id: UUID!) { saga(correlationId: $id, waitSeconds: 20) { status awaiting { until
  lastFailure { code message } ... on CardConfirmationAwaited { clientSecret url } } } }"""
INTROSPECT: Final = "{ __schema { types { name description fields { name description } } } }"


@dataclass
class Transcript:
    """Everything that came out, by where."""

    said: list[tuple[str, str]] = field(default_factory=list)

    def note(self, where: str, what: str) -> str:
        self.said.append((where, what))
        return what

    def holding(self, secrets: Sequence[str]) -> list[str]:
        """Where a secret stands, and which."""
        return [f"{where}: {secret}" for where, what in self.said for secret in secrets if secret in what]


@dataclass
class Visitor:
    """A client that writes down all that it is answered."""

    child: Child
    transcript: Transcript
    token: str
    http: httpx.AsyncClient

    async def ask(self, query: str, *, token: str | None = None, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables})
        answer: dict[str, Any] = (await self.send(body, token=token)).json()
        return answer

    async def send(self, body: str | bytes, *, token: str | None = None, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {token or self.token}", "content-type": "application/json", **headers}
        return self.heard(await self.http.post("/graphql", content=body, headers=given))

    async def call(self, method: str, path: str, *, token: str | None = None, **kwargs: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return self.heard(await self.http.request(method, path, headers=headers, **kwargs))

    async def listen(self, *frames: dict[str, Any], payload: dict[str, Any]) -> None:
        """Open a socket, send frames, and hear what is said until it has nothing more to say."""
        url = f"ws://127.0.0.1:{self.child.port}/graphql"
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
            with suppress(ConnectionClosed):
                for frame in ({"type": "connection_init", "payload": payload}, *frames):
                    await socket.send(json.dumps(frame))
                while True:
                    async with asyncio.timeout(20):
                        said = self.transcript.note("socket", str(await socket.recv()))
                    if json.loads(said)["type"] in ("complete", "error"):
                        break
            self.transcript.note("socket", f"{socket.close_code} {socket.close_reason}")

    def heard(self, response: httpx.Response) -> httpx.Response:
        self.transcript.note(f"{response.request.method} {response.request.url.path}", str(response.headers.raw))
        self.transcript.note(f"{response.request.method} {response.request.url.path}", response.text)
        return response


def token(**claims: Any) -> str:
    return jwt.encode({"sub": "ada", "exp": int(time.time()) + 600, **claims}, JWT_SECRET, algorithm="HS256")


def order(flight_id: str, card: Any, **changes: Any) -> dict[str, Any]:
    return {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": card},
        **changes,
    }


@asynccontextmanager
async def visiting(child: Child, transcript: Transcript, bearer: str) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(base_url=child.url, timeout=30) as http:
        yield Visitor(child, transcript, bearer, http)


async def command(transcript: Transcript, *arguments: str, env: dict[str, str], folder: Path) -> None:
    ended = await asyncio.to_thread(seatsaga, *arguments, env=env, folder=folder)
    transcript.note(f"seatsaga {arguments[0]}", ended.stdout + ended.stderr)


def files_in(folder: Path) -> Iterator[tuple[str, str]]:
    """What the log files and the server's own output hold."""
    for path in (*folder.glob("logs/*"), *folder.glob("output-*")):
        yield path.name, path.read_text(errors="replace")


def rows_of(connection: Any) -> Iterator[tuple[str, str]]:
    """Every event, and what is kept of every saga."""
    for table in ("saga_events", "saga_steps", "sagas"):
        for row in connection.execute(text(f"SELECT * FROM {table}")):
            yield table, repr(tuple(row))


# ---------------------------------------------------------------------- what is done


async def book_in_every_way(visitor: Visitor, flight_id: str) -> list[str]:
    """Bookings that are made, declined, undone, lost and refused; the correlation IDs of those that ran."""
    ways: list[dict[str, Any]] = [order(flight_id, card) for card in CARDS]
    ways += [order(flight_id, GOOD_CARD, simulate={"failAt": [step]}) for step in steps_of(EARN)]
    ways += [order(flight_id, GOOD_CARD, simulate={"loseAnswerAt": ["AUTHORIZE_PAYMENT", "CONFIRM_BOOKING"]})]
    answers = [(await visitor.ask(BOOK, input=way))["data"]["bookFlight"] for way in ways]
    begun = [answer["saga"]["correlationId"] for answer in answers]
    for correlation_id in begun:
        await visitor.ask(EVERYTHING, id=correlation_id)
    # The same ID for another card, and cards that none can have.
    await visitor.ask(BOOK, input={**ways[0], "payment": {"token": "tok_HUNTER2card"}})
    await visitor.ask(BOOK, input=order(GOOD_CARD, GOOD_CARD))
    for card in ("tok_HUNTER2card" * 50, "tok_HUNTER2card\n"):
        await visitor.ask(BOOK, input=order(flight_id, card))
    return begun


async def ask_the_holder(visitor: Visitor, url: str, flight_id: str) -> list[str]:
    """Bookings whose card asks its holder, who approves, refuses, or is not waited for; the secrets they were given.

    The holder's page is no answer to be searched: its bearer is to have the secret.
    """
    secrets: list[str] = []
    for answer in ("approve", "refuse", None):
        wish = order(flight_id, ASKING_CARD)
        await visitor.ask(BOOK, input=wish)
        asked = await visitor.ask(EVERYTHING, id=wish["correlationId"])
        assert asked["data"]["saga"]["status"] == "WAITING"
        page = await on(url, partial(page_of, wish["correlationId"]))
        secrets.append(page.rpartition("_secret_")[2])
        if answer is None:
            await visitor.ask(CANCEL, input={"correlationId": wish["correlationId"]})
        else:
            async with httpx.AsyncClient(base_url=visitor.child.url) as holder:
                await holder.post(page, data={"answer": answer}, follow_redirects=True)
                await holder.post(page, data={"answer": "neither"})
        await eventually(partial(_is_over, visitor, wish["correlationId"]), 30)
    body = json.dumps({"secret": WEBHOOK_SECRET})
    visitor.heard(await visitor.http.post("/webhooks/stripe", content=body, headers={"stripe-signature": "t=1,v1=0"}))
    return secrets


def page_of(correlation_id: str, connection: Any) -> str:
    """The address that a waiting saga keeps for its holder."""
    statement = text("SELECT context FROM sagas WHERE CAST(correlation_id AS TEXT) = :id")
    (context,) = connection.execute(statement, {"id": correlation_id}).one()
    page: str = json.loads(context)["confirmation"]["url"]
    return page


async def _is_over(visitor: Visitor, correlation_id: str) -> bool:
    answer = await visitor.ask(EVERYTHING, id=correlation_id)
    return answer["data"]["saga"]["status"] in ("COMPLETED", "COMPENSATED")


async def hold_and_pay(visitor: Visitor, flight_id: str) -> list[str]:
    """Holds: one is paid for after a decline, and one waits for the holder of its card until it is cancelled.

    Returns the secrets by which the holder could have answered.
    """
    # A caller of their own: so many mutations a minute is what one may send.
    visitor = replace(visitor, token=token(sub="lin"))
    held = []
    for _ in range(2):
        answer = await visitor.ask(BOOK, input=order(flight_id, None, payment=None, payLater=True))
        held.append(answer["data"]["bookFlight"]["saga"]["correlationId"])
    for card in (LOST_CARD, *UNKNOWN_CARDS, GOOD_CARD):
        await visitor.ask(AWAITING, id=held[0])
        await visitor.ask(PAY, id=held[0], card=card)
    await visitor.ask(EVERYTHING, id=held[0])
    await visitor.ask(AWAITING, id=held[1])
    await visitor.ask(PAY, id=held[1], card=ASKING_CARD)
    await eventually(partial(_asks, visitor, held[1]))
    for card in (GOOD_CARD, UNKNOWN_CARDS[0] * 50):
        await visitor.ask(PAY, id=held[1], card=card)
    for bearer in (ADMIN_TOKEN, token(sub="grace")):
        await visitor.ask(AWAITING, id=held[1], token=bearer)
    # The owner alone is told, and that is not written down.
    unheard = replace(visitor, transcript=Transcript())
    own = (await unheard.ask(AWAITING, id=held[1]))["data"]["saga"]["awaiting"]
    for change in ("confirmCard", "cancelSaga"):
        await visitor.ask(f'mutation {{ {change}(input: {{correlationId: "{held[1]}"}}) {{ saga {{ status }} }} }}')
    await eventually(partial(_is_undone, visitor, held[1]))
    url: str = own["url"]
    return [url, url.rpartition("/")[2]]


async def _asks(visitor: Visitor, correlation_id: str) -> bool:
    answer = await visitor.ask(AWAITING, id=correlation_id, token=ADMIN_TOKEN)
    return bool("clientSecret" in answer["data"]["saga"]["awaiting"])


async def send_what_is_wrong(visitor: Visitor, flight_id: str) -> None:
    """Requests that cannot be read, do not fit, or ask for what there is not; each with a card in it."""
    for card in UNKNOWN_CARDS:
        await send_what_does_not_fit(visitor, flight_id, card)
    card = UNKNOWN_CARDS[0]
    await visitor.ask(f"{{ {card} }}")
    await visitor.ask(f"query {card} {{ airports {{ code }} }}")
    good = {"query": BOOK, "variables": {"input": order(flight_id, card)}}
    await visitor.send(json.dumps(good)[:-3])
    await visitor.send(json.dumps(good).encode() + b"\xff")
    await visitor.send(json.dumps([good]))
    await visitor.send(json.dumps({**good, "variables": card}))
    for name in UNKNOWN_CARDS:
        await visitor.send(json.dumps({**good, "operationName": name}))
    await visitor.send(json.dumps(good), **{"content-type": "text/plain"})
    await visitor.send(json.dumps(good), accept="image/png")
    for parameters in ({"query": BOOK, "variables": json.dumps(good["variables"])}, {"query": BOOK, "variables": card}):
        await visitor.call("GET", "/graphql", params=parameters)
    await visitor.listen(
        {"id": "1", "type": "subscribe", "payload": {**good, "variables": {"input": {"payment": card}}}},
        payload={"authorization": f"Bearer {visitor.token}"},
    )


async def send_what_does_not_fit(visitor: Visitor, flight_id: str, card: str) -> None:
    for wrong in ({"token": [card]}, {"token": {"token": card}}, card, [card], {"tokken": card}, {"method": card}):
        await visitor.ask(BOOK, input={**order(flight_id, card), "payment": wrong})
    await visitor.ask(BOOK, input={"payment": {"token": card}})
    await visitor.ask(BOOK, input={**order(flight_id, card), "correlationId": card})
    await visitor.ask(BOOK, input={**order(flight_id, card), "segments": [{"flightId": flight_id, "seats": card}]})
    await visitor.ask(BOOK, input=order(flight_id, card, loyalty={"memberNumber": card}))
    for literal in (f'"{card}"', f"{{token: {card}}}", f'{{token: "{card}" "{card}"}}', f'{{token: "{card}}}'):
        await visitor.ask(f"mutation {{ bookFlight(input: {{payment: {literal}}}) {{ saga {{ id }} }} }}")


async def knock_with_wrong_tokens(visitor: Visitor) -> None:
    """Tokens that let nobody in, at every door."""
    wrong = [GUESS, token(exp=1), token(sub=""), jwt.encode({"sub": "ada"}, "", algorithm="none"), GUESS * 1_000]
    for guessed in wrong:
        await visitor.ask("{ airports { code } }", token=guessed)
        await visitor.call("POST", "/admin/scheduler/jobs/prune-history/run", token=guessed)
        await visitor.listen(payload={"token": guessed})
        await visitor.listen(payload={"authorization": guessed})
    await visitor.call("GET", f"/{GOOD_CARD}/{token()}")


async def steer(visitor: Visitor) -> None:
    """What operators do."""
    for bearer in (ADMIN_TOKEN, token(role="operator"), visitor.token):
        for method, path in (("GET", ""), ("POST", "/jobs/prune-history/run"), ("POST", "/jobs/none/run")):
            await visitor.call(method, f"/admin/scheduler{path}", token=bearer)
    await visitor.ask("{ sagaStatistics { started } sagas { edges { node { status } } } }", token=ADMIN_TOKEN)
    for path in ("/metrics", "/healthz", "/readyz", "/graphql?query={__typename}"):
        await visitor.call("GET", path, token=ADMIN_TOKEN)
    await visitor.ask(INTROSPECT)


async def break_the_database(visitor: Visitor, url: str, flight_id: str) -> None:
    """A start that the database refuses, with everything about it in the statement."""
    sqlite = url.startswith("sqlite")
    begin = (
        "CREATE TRIGGER refusing BEFORE INSERT ON sagas BEGIN SELECT RAISE(ABORT, 'refusing on purpose'); END"
        if sqlite
        else "ALTER TABLE sagas ADD CONSTRAINT refusing CHECK (status = 'refused on purpose') NOT VALID"
    )
    await on(url, lambda connection: connection.execute(text(begin)))
    # It looks like no card's token, so that nothing would mask it in the log.
    answer = await visitor.ask(BOOK, input=order(flight_id, UNKNOWN_CARDS[1]))
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    end = "DROP TRIGGER refusing" if sqlite else "ALTER TABLE sagas DROP CONSTRAINT refusing"
    await on(url, lambda connection: connection.execute(text(end)))


async def read_up(transcript: Transcript, folder: Path, url: str) -> None:
    """Write down what is left behind."""
    for where, what in files_in(folder):
        transcript.note(where, what)
    for where, what in await on(url, lambda connection: list(rows_of(connection))):
        transcript.note(where, what)


# ---------------------------------------------------------------------- what came of it


@pytest.mark.parametrize(("backend", "log_format"), [("sqlite", "console"), ("postgresql", "json")])
async def test_no_secret_comes_out_of_a_whole_run(database_url: str, log_format: str, tmp_path: Path) -> None:
    await fill(database_url)
    url = database_url
    if url.startswith("postgresql"):
        url = make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)
    env = environment(
        tmp_path,
        url,
        auth="jwt",
        jwt_secret=JWT_SECRET,
        admin_token=ADMIN_TOKEN,
        simulation="on",
        log_format=log_format,
        stripe_webhook_secret=WEBHOOK_SECRET,
        # What follows books with many a card that is declined.
        failures_per_caller_max="0",
    ) | {"STRIPE_API_KEY": STRIPE_KEY}
    transcript, bearer = Transcript(), token()
    await command(transcript, "migrate", env=env, folder=tmp_path)
    async with serving_child(tmp_path, env) as child, visiting(child, transcript, bearer) as visitor:
        found = await visitor.ask("{ flights(first: 1) { edges { node { id } } } }")
        flight_id = found["data"]["flights"]["edges"][0]["node"]["id"]
        begun = await book_in_every_way(visitor, flight_id)
        given = await ask_the_holder(visitor, url, flight_id)
        asked = await hold_and_pay(visitor, flight_id)
        watch = {"query": f'subscription {{ sagaEvents(correlationId: "{begun[1]}") {{ type message }} }}'}
        await visitor.listen({"id": "1", "type": "subscribe", "payload": watch}, payload={"token": bearer})
        await visitor.send(json.dumps(watch), accept="text/event-stream")
        await send_what_is_wrong(visitor, flight_id)
        await knock_with_wrong_tokens(visitor)
        await steer(visitor)
        await break_the_database(visitor, url, flight_id)
        at = ("--url", child.url)
        for arguments in (
            ("sagas", "list", *at),
            ("sagas", "show", begun[1], *at),
            ("watch", begun[1], *at),
            ("jobs", "list"),
            ("doctor",),
        ):
            await command(transcript, *arguments, env=env, folder=tmp_path)
        guessing = env | {"SEATSAGA_ADMIN_TOKEN": GUESS}
        await command(transcript, "sagas", "list", *at, env=guessing, folder=tmp_path)
        mistaken = env | {"SEATSAGA_DATABASE_URL": f"mysql://me:{PASSWORD}@db.example/seats", "SEATSAGA_PORT": "1"}
        await command(transcript, "serve", env=mistaken, folder=tmp_path)
        absent = f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:1/seats"
        await command(transcript, "doctor", env=env | {"SEATSAGA_DATABASE_URL": absent}, folder=tmp_path)
        assert child.terminate() == 0
    await read_up(transcript, tmp_path, url)

    # It was a run worth searching: what was to happen has happened, and was written down.
    whole = "\n".join(what for _, what in transcript.said)
    for witness in (
        "SAGA_COMPLETED",
        "CARD_LOST",
        "CARD_NOT_CONFIRMED",
        "CARD_TOKEN_UNKNOWN",
        "STEP_WAITING",
        "/sandbox/confirm/pi_",
        "NothingToPayError",
        "SIMULATED",
        "refusing",
        "Traceback",
    ):
        assert witness in whole, witness
    assert len(transcript.said) > 200
    secrets = (
        JWT_SECRET,
        ADMIN_TOKEN,
        STRIPE_KEY,
        PASSWORD,
        GUESS,
        *CARDS,
        ASKING_CARD,
        "HUNTER2",
        bearer,
        "eyJ",
        *given,
        *asked,
    )
    assert len(given) == 3
    assert transcript.holding(secrets) == []


# ---------------------------------------------------------------------- a provider that tells all


@dataclass
class Gossip:
    """A payment provider that repeats whatever it was sent, in one kind of error after another."""

    asked: int = 0

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        echo = f"{request.headers.get('authorization')} {(await request.body()).decode()}"
        code = ("resource_missing", "parameter_invalid_string")[self.asked % 2]
        error = {"message": echo, "code": code, "param": echo, "decline_code": echo, "doc_url": echo}
        kinds = ("invalid_request_error", "card_error", "api_error", "idempotency_error", "authentication_error")
        kind = kinds[self.asked % len(kinds)]
        status = {"card_error": 402, "api_error": 500, "authentication_error": 401}.get(kind, 400)
        headers = {"request-id": "req_1", "stripe-should-retry": "false"}
        if self.asked % 7 == 0:
            return Response(f"<html>{echo}</html>", 502, headers=headers)
        return JSONResponse({"error": {**error, "type": kind}}, status, headers=headers)


@pytest.mark.parametrize("backend", ["sqlite"])
async def test_what_a_provider_says_of_a_card_and_our_key_comes_out_nowhere(database_url: str, tmp_path: Path) -> None:
    await fill(database_url)
    gossip = Gossip()
    provider = Starlette(routes=[Route("/{path:path}", gossip.answer, methods=["GET", "POST"])])
    transcript = Transcript()
    async with serving(provider) as served:
        env = environment(
            tmp_path,
            database_url,
            payments="stripe",
            stripe_api_base=served.url,
            # The budgets of the steps are small then: each kind of error still comes.
            hold_seconds="8",
            admin_token=ADMIN_TOKEN,
        )
        env |= {"STRIPE_API_KEY": STRIPE_KEY}
        async with serving_child(tmp_path, env) as child, visiting(child, transcript, ADMIN_TOKEN) as visitor:
            found = await visitor.ask("{ flights(first: 1) { edges { node { id } } } }")
            flight_id = found["data"]["flights"]["edges"][0]["node"]["id"]
            answers = [await visitor.ask(BOOK, input=order(flight_id, card)) for card in UNKNOWN_CARDS * 3]
            for answer in answers:
                it = answer["data"]["bookFlight"]["saga"]["correlationId"]
                await eventually(partial(_is_undone, visitor, it), 60)
            assert child.terminate() == 0
    await read_up(transcript, tmp_path, database_url)

    assert gossip.asked >= len(answers)
    assert transcript.holding((STRIPE_KEY, ADMIN_TOKEN, *UNKNOWN_CARDS, "HUNTER2")) == []


async def _is_undone(visitor: Visitor, correlation_id: str) -> bool:
    answer = await visitor.ask(EVERYTHING, id=correlation_id)
    return bool(answer["data"]["saga"]["status"] == "COMPENSATED")
