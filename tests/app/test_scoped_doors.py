"""Every field and every address for operators by every scope, on every transport of a server with authentication."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import pytest_asyncio

from schema.context import Scope
from tests.app.whole import Whole, whole
from tests.schema.access_rules import ROOTS, SCOPES, Whose
from tests.schema.test_access_matrix import QUESTIONS
from tests.support.identity import claims
from tests.support.sockets import Socket, open_socket

SECRET: Final = "a secret of thirty-two characters"
JOB: Final = "/admin/scheduler/jobs/prune-history"
#: Every address for operators, and the scopes, one of which it needs.
ADDRESSES: Final[dict[tuple[str, str], tuple[Scope, ...]]] = {
    ("GET", "/metrics"): (Scope.METRICS_READ,),
    ("GET", "/admin/scheduler"): (Scope.SAGAS_READ, Scope.JOBS_WRITE),
    ("GET", f"{JOB}/runs"): (Scope.SAGAS_READ, Scope.JOBS_WRITE),
    ("POST", f"{JOB}/run"): (Scope.JOBS_WRITE,),
    ("POST", f"{JOB}/pause"): (Scope.JOBS_WRITE,),
    ("POST", f"{JOB}/resume"): (Scope.JOBS_WRITE,),
    ("PATCH", JOB): (Scope.JOBS_WRITE,),
}
#: The claims of a token, and the scopes that they grant.
TOKENS: Final[list[tuple[dict[str, Any], set[Scope]]]] = [
    *(({"role": "operator", "scope": scope.value}, {scope}) for scope in Scope),
    ({"role": "operator", "scope": "openid profile"}, set()),
    ({"role": "operator"}, set(Scope)),
    ({"scope": " ".join(Scope)}, set()),
    ({}, set()),
]
IDS: Final = [json.dumps(claimed).replace('"', "") for claimed, _ in TOKENS]
OPERATORS: Final = [root for root, whose in ROOTS.items() if whose is Whose.OPERATORS]
NOTHING: Final = {"ID": "bm90aGluZw==", "UUID": str(uuid.uuid4()), "String": "AAAAAA"}

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_token = pytest.mark.parametrize(("claimed", "granted"), TOKENS, ids=IDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    settings: dict[str, Any] = {"auth": "jwt", "jwt_secret": SECRET, "mutations_per_minute_max": 0}
    async with whole(sqlite_template, tmp_path_factory.mktemp("house"), **settings) as house:
        yield house


def token_of(claimed: dict[str, Any]) -> str:
    return jwt.encode(claims(sub="grace", **claimed), SECRET, algorithm="HS256")


def asked(root: str) -> dict[str, Any]:
    """A request for the field, about what does not exist."""
    kind, _, name = root.partition(".")
    variables, arguments = QUESTIONS[root]
    given = variables.strip("()").partition(": ")[2].rstrip("!")
    found = {"query": f"{kind.lower()}{variables} {{ {name}{arguments} {{ __typename }} }}"}
    return found if not given else {**found, "variables": {"it": NOTHING[given]}}


def is_forbidden(answer: dict[str, Any], needed: tuple[Scope, ...]) -> bool:
    """Whether the answer refuses, naming what is needed."""
    for error in answer.get("errors", ()):
        if error["extensions"]["code"] == "FORBIDDEN":
            assert error["extensions"]["scopes"] == list(needed)
            assert all(scope in error["message"] for scope in needed)
            return True
    return False


async def answered(socket: Socket, *operations: str) -> dict[str, Any]:
    """The first answer to one of these operations."""
    while (frame := await socket.receive()).get("id") not in operations:
        pass
    return frame


async def test_the_docs_name_each_operators_field_beside_its_scopes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `") and ":" in line[:20]}
    assert set(Scope) <= set(rows)
    for root in OPERATORS:
        name = root.partition(".")[2]
        assert {scope for scope in Scope if f"`{name}`" in rows[scope]} == set(SCOPES[root]), name


@every_token
async def test_an_operators_field_is_forbidden_without_its_scope_on_every_transport(
    house: Whole, claimed: dict[str, Any], granted: set[Scope]
) -> None:
    token = token_of(claimed)
    bearer = {"authorization": f"Bearer {token}"}
    async with open_socket(house.served) as socket:
        await socket.initialise({"authorization": f"Bearer {token}"})
        for root in OPERATORS:
            needed, question = SCOPES[root], asked(root)
            refused = granted.isdisjoint(needed)
            if root.startswith("Subscription.") and not refused:
                # It goes on for as long as the client likes: another question is answered first.
                await socket.subscribe(root, **question)
                # Under an ID of its own: the one before may still be completed.
                beside = f"beside {root}"
                await socket.subscribe(beside, query="{ __typename }")
                frame = await answered(socket, root, beside)
                said_first = {"errors": frame["payload"]} if frame["type"] == "error" else frame["payload"]
                assert frame["id"] == beside or not is_forbidden(said_first, needed), root
                await socket.send(id=root, type="complete")
                continue
            said = []
            if not root.startswith("Subscription."):
                said.append((await house.http.post("/graphql", json=question, headers=bearer)).json())
            if root.startswith("Query."):
                parameters = {**question, "variables": json.dumps(question.get("variables", {}))}
                said.append((await house.http.get("/graphql", params=parameters, headers=bearer)).json())
            if not root.startswith("Mutation."):
                headers = {**bearer, "accept": "text/event-stream"}
                streamed = (await house.http.post("/graphql", json=question, headers=headers)).text
                said += [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
            await socket.subscribe(root, **question)
            frame = await answered(socket, root)
            said.append({"errors": frame["payload"]} if frame["type"] == "error" else frame["payload"])
            assert [is_forbidden(answer, needed) for answer in said] == [refused] * len(said), root
            assert len(said) >= 2, root


@every_token
@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_an_address_of_operators_is_forbidden_without_its_scope(
    house: Whole, method: str, path: str, claimed: dict[str, Any], granted: set[Scope]
) -> None:
    needed = ADDRESSES[method, path]
    content = json.dumps({"intervalSeconds": 60}) if method == "PATCH" else None
    bearer = {"authorization": f"Bearer {token_of(claimed)}"}
    response = await house.http.request(method, path, content=content, headers=bearer)

    if granted.isdisjoint(needed):
        assert response.status_code == 403
        assert all(scope in response.json()["detail"] for scope in needed)
        assert response.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{needed[0]}"'
    else:
        assert response.status_code == 200, response.text


@every_token
async def test_readiness_names_its_reasons_to_who_may_know_them(
    house: Whole, claimed: dict[str, Any], granted: set[Scope]
) -> None:
    every = {"authorization": f"Bearer {token_of({'role': 'operator'})}"}
    pause = json.dumps({"reason": "Ada's test."})
    expiry = "/admin/scheduler/jobs/release-expired-reservations"
    await house.http.post(f"{expiry}/pause", content=pause, headers=every)
    try:
        bearer = {"authorization": f"Bearer {token_of(claimed)}"}
        warnings = (await house.http.get("/readyz", headers=bearer)).json()["warnings"]
    finally:
        await house.http.post(f"{expiry}/resume", headers=every)

    assert warnings
    assert ("grace" in str(warnings)) is not granted.isdisjoint({Scope.SAGAS_READ, Scope.JOBS_WRITE})
