"""Who may come in where, with authentication on: every address has a rule, and nobody gets past one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, build_schema
from starlette.routing import Route, WebSocketRoute

from schema.root import sdl
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.schema.access_rules import ROOTS
from tests.support.identity import claims, issuing, new_key
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

SECRET: Final = "a secret of thirty-two characters"
#: Every address and who may come in; what is measured has tests of its own.
DOORS: Final = {
    "/graphql": "callers",
    "/admin/scheduler{below:path}": "operators",
    "/healthz": "all",
    "/readyz": "all",
    "/metrics": "operators",
    "/webhooks/stripe": "signers",
    "/sandbox/confirm/{secret}": "bearers",
    "/": "pages",
    "/saga": "pages",
    "/saga/{view:path}": "pages",
    "/console/{name:path}": "pages",
}
STEERING: Final = [
    ("GET", "/metrics"),
    ("GET", "/admin/scheduler"),
    ("GET", "/admin/scheduler/jobs/prune-history/runs"),
    ("POST", "/admin/scheduler/jobs/prune-history/run"),
    ("POST", "/admin/scheduler/jobs/prune-history/pause"),
    ("POST", "/admin/scheduler/jobs/prune-history/resume"),
    ("PATCH", "/admin/scheduler/jobs/prune-history"),
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    settings: dict[str, Any] = {"auth": "jwt", "jwt_secret": SECRET, "introspection": "off"}
    async with whole(sqlite_template, tmp_path_factory.mktemp("house"), **settings) as house:
        yield house


def bearer(**changes: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {jwt.encode(claims(**changes), SECRET, algorithm='HS256')}"}


def documents() -> dict[str, str]:
    """A document for each field of the roots; nobody gets far enough to be told what is missing in it."""
    schema = build_schema(sdl())
    found = {}
    for root in ROOTS:
        kind, _, name = root.partition(".")
        assert isinstance(schema.type_map[kind], GraphQLObjectType)
        found[root] = f"{kind.lower()} {{ {name} {{ __typename }} }}"
    return found


async def test_every_address_has_a_rule(house: Whole) -> None:
    paths = {route.path for route in house.app.routes if isinstance(route, Route | WebSocketRoute)}
    assert len({type(route) for route in house.app.routes} - {Route, WebSocketRoute}) == 0
    assert paths == set(DOORS)


@pytest.mark.parametrize(("root", "document"), documents().items(), ids=list(ROOTS))
async def test_nobody_asks_anything(house: Whole, root: str, document: str) -> None:
    """No field of the API is for who bears no token, on no transport."""
    said = []
    for accept in ("application/json", "application/graphql-response+json"):
        headers = {"accept": accept}
        said.append(await house.http.post("/graphql", json={"query": document}, headers=headers))
        said.append(await house.http.get("/graphql", params={"query": document}, headers=headers))
    for response in said:
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert list(response.json()) == ["errors"]
    events = await house.http.post("/graphql", json={"query": document}, headers={"accept": "text/event-stream"})
    assert events.text == f":\n\nevent: next\ndata: {said[0].text}\n\nevent: complete\ndata: \n\n"


async def test_nobody_opens_a_socket_for_long(house: Whole) -> None:
    async with open_socket(house.served) as socket:
        await socket.send(type="connection_init")
        assert await socket.closed() == 4403


@pytest.mark.parametrize(("method", "path"), STEERING)
async def test_only_operators_steer_the_scheduler(house: Whole, method: str, path: str) -> None:
    async def status(headers: dict[str, str]) -> int:
        content = json.dumps({"intervalSeconds": 60}) if method == "PATCH" else None
        return (await house.http.request(method, path, content=content, headers=headers)).status_code

    assert await status({}) == 401
    assert await status(bearer()) == 403
    assert await status(bearer(role="operator")) == 200
    assert await status({"authorization": f"Bearer {ADMIN_TOKEN}"}) == 200


@pytest.mark.parametrize("path", [path for path, who in DOORS.items() if who == "all"])
async def test_what_machines_ask_for_needs_no_token(house: Whole, path: str) -> None:
    response = await house.http.get(path)

    assert response.status_code == 200
    assert "ada" not in response.text


@pytest.mark.parametrize("path", ["/graphql", "/saga", "/saga/test"])
async def test_pages_are_for_all_and_hold_nothing_of_anybody(house: Whole, path: str) -> None:
    response = await house.http.get(path, headers={"accept": "text/html"})

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "ada" not in response.text


async def test_introspection_is_off_where_it_is_switched_off_for_operators_too(house: Whole) -> None:
    for headers in (bearer(), {"authorization": f"Bearer {ADMIN_TOKEN}"}):
        response = await house.http.post("/graphql", json={"query": "{ __schema { types { name } } }"}, headers=headers)
        (error, *_) = response.json()["errors"]
        assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert "introspection" in error["message"]


async def test_a_member_sees_the_account_of_the_claim_alone(house: Whole) -> None:
    async def accounts(headers: dict[str, str]) -> list[bool]:
        query = "query($it: String!) { loyaltyAccount(memberNumber: $it) { balance } }"
        asked = [{"query": query, "variables": {"it": number}} for number in ("SS0000001", "SS0000002", "SS9999999")]
        answers: list[httpx.Response] = [await house.http.post("/graphql", json=it, headers=headers) for it in asked]
        return [answer.json()["data"]["loyaltyAccount"] is not None for answer in answers]

    assert await accounts(bearer(member="SS0000001")) == [True, False, False]
    # As it was called before.
    assert await accounts(bearer(member_number="SS0000001")) == [False, False, False]
    assert await accounts(bearer(role="operator")) == [True, True, False]


async def test_the_issuers_keys_are_there_before_the_first_token(sqlite_template: Path, tmp_path: Path) -> None:
    key = new_key()
    async with issuing(key) as issuer:
        async with whole(sqlite_template, tmp_path, auth="jwt", jwks_url=issuer.url) as house:
            await eventually(lambda: issuer.asked == 1)
            headers = {"authorization": f"Bearer {key.sign(claims(aud='somebody else'))}"}
            response = await house.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
            assert response.json()["data"] == {"__typename": "Query"}
            assert issuer.asked == 1
    assert "Tokens for any audience are accepted; set SEATSAGA_JWT_AUDIENCE" in log_of(tmp_path)


async def test_a_start_does_not_wait_for_the_issuer(sqlite_template: Path, tmp_path: Path) -> None:
    async with issuing() as issuer:
        issuer.gate.clear()
        async with whole(sqlite_template, tmp_path, auth="jwt", jwks_url=issuer.url, jwt_audience="us") as house:
            assert (await house.http.get("/readyz")).status_code == 200
    assert "SEATSAGA_JWT_AUDIENCE" not in log_of(tmp_path)


def log_of(folder: Path) -> str:
    return (folder / "logs" / "saga_orchestrator.log").read_text()
