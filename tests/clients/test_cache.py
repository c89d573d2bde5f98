"""What is shipped for clients' caches: two views of the same things take nothing from each other."""

from __future__ import annotations

import asyncio
import json
import subprocess
import uuid
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.clients.javascript import FOLLOW, JavaScript
from tests.clients.tokens import customer, token
from tests.support.children import Child

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kept(javascript: JavaScript, server: Child) -> dict[str, Any]:
    """What each cache still knew of the first view of a booking after the second."""
    bearer, it = token(customer()), str(uuid.uuid4())
    headers = {"authorization": f"Bearer {bearer}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as http:

        async def ask(query: str, **variables: Any) -> Any:
            return (await http.post("/graphql", json={"query": query, "variables": variables})).json()["data"]

        flight = (await ask("{ flights(first: 1) { edges { node { id } } } }"))["flights"]["edges"][0]["node"]["id"]
        people = [{"givenName": name, "familyName": "Smith", "dateOfBirth": "1990-01-01"} for name in ("Ada", "Bob")]
        wish = {"correlationId": it, "segments": [{"flightId": flight}], "passengers": people, "payment": {}}
        await ask("mutation($i: BookFlightInput!) { bookFlight(input: $i) { saga { id } } }", i=wish)
        await ask("query($it: UUID!) { saga(correlationId: $it, waitSeconds: 20) { status } }", it=it)
    said = await asyncio.to_thread(javascript.run, "caches", url=f"{server.url}/graphql", token=bearer, it=it)
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.parametrize("client", ["apollo", "urql"])
async def test_the_second_view_takes_nothing_from_the_first(kept: dict[str, Any], client: str) -> None:
    assert kept[client] == {"keeps": True, "warnings": []}


@pytest.mark.parametrize("client", ["apollo without policies", "urql without keys"])
async def test_without_what_is_shipped_there_is_a_loss_or_a_warning(kept: dict[str, Any], client: str) -> None:
    assert not kept[client]["keeps"] or kept[client]["warnings"]


async def test_what_the_caches_know_of_the_schema_is_generated_from_it() -> None:
    generated = FOLLOW.parent / "src" / "cache" / "generated.ts"
    committed = generated.read_text("utf-8")
    await asyncio.to_thread(subprocess.run, ["node", "generate-cache.js"], cwd=FOLLOW.parent, check=True)
    assert generated.read_text("utf-8") == committed
