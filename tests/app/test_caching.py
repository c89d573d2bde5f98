"""Answers that caches may keep: public data, by GET, by hash; everything else is no-store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, get_named_type

from schema.documents import PUBLIC_SECONDS
from schema.root import create_schema
from tests.app.whole import ADMIN_TOKEN, Whole, whole

AIRPORTS: Final = "{ airports { code city } }"
FLIGHTS: Final = "query($first: Int!) { flights(first: $first) { edges { node { number } } } }"
TRIP: Final = {"tripType": "ONE_WAY", "origin": "JFK", "destination": "LAX", "departsOn": "2030-01-01", "passengers": 1}
#: What each of these answers is the same for everybody.
PUBLIC: Final = [
    (AIRPORTS, {}, 60),
    ("{ sagaDefinitions { name scenarios { name } } }", {}, 60),
    (FLIGHTS, {"first": 2}, 5),
    ('{ flight(id: "x") { number seats { status } } }', {}, 5),
    ("{ airports { code } flights { totalCount } __typename }", {}, 5),
    (
        "query($input: TripSearchInput!) { searchTrips(input: $input) { outbound { number } } }",
        {"input": {**TRIP, "cabinClass": "ECONOMY"}},
        5,
    ),
]
#: What depends on the caller, or is an error.
OTHER: Final = [
    ("{ viewer { role } }", {}),
    ("{ airports { code } viewer { role } }", {}),
    ("{ sagas { totalCount } }", {}),
    ('{ node(id: "x") { id } }', {}),
    ("{ __typename }", {}),
    ("{ __schema { queryType { name } } }", {}),
    (FLIGHTS, {"first": 0}),
    (FLIGHTS, {}),
    (FLIGHTS, {"first": "two"}),
]
#: The types that a caller meets below these fields: a new one must be looked at before it may be kept.
PUBLIC_TYPES: Final = {
    "Airport",
    "Fare",
    "Flight",
    "FlightConnection",
    "FlightEdge",
    "Money",
    "PageInfo",
    "SagaDefinition",
    "SagaScenario",
    "Seat",
    "StepDefinition",
    "TripSearchResult",
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    settings: dict[str, Any] = {"persisted_queries": "automatic", "allowed_origins": ("https://shop.example",)}
    async with whole(sqlite_template, tmp_path_factory.mktemp("caching"), **settings) as served:
        yield served


async def get(served: Whole, text: str, variables: dict[str, Any], **headers: str) -> httpx.Response:
    """The answer to a GET by hash, of a document that the server has run before."""
    body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}}}
    await served.http.post("/graphql", json=body | {"query": text, "variables": variables})
    params = {"extensions": json.dumps(body["extensions"]), "variables": json.dumps(variables)}
    given = {"accept": "application/graphql-response+json", **headers}
    return await served.http.get("/graphql", params=params, headers=given)


@pytest.mark.parametrize(("text", "variables", "seconds"), PUBLIC)
async def test_public_data_may_be_kept_for_some_seconds_and_is_asked_for_again_by_its_tag(
    served: Whole, text: str, variables: dict[str, Any], seconds: int
) -> None:
    first = await get(served, text, variables)
    again = await get(served, text, variables, **{"if-none-match": first.headers["etag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    for response in (first, again):
        assert response.headers["cache-control"] == f"public, max-age={seconds}"
        assert response.headers["etag"] == first.headers["etag"]
        assert {"Accept", "Authorization", "Origin"} <= set(response.headers["vary"].split(", "))


async def test_the_answer_to_a_token_is_kept_by_its_caller_alone(served: Whole) -> None:
    response = await get(served, AIRPORTS, {}, authorization=f"Bearer {ADMIN_TOKEN}")

    assert response.headers["cache-control"] == "private, max-age=60"
    assert "Authorization" in response.headers["vary"]


async def test_another_media_type_or_answer_has_another_tag(served: Whole) -> None:
    tags = [
        (await get(served, AIRPORTS, {})).headers["etag"],
        (await get(served, AIRPORTS, {}, accept="application/json")).headers["etag"],
        (await get(served, FLIGHTS, {"first": 1})).headers["etag"],
        (await get(served, FLIGHTS, {"first": 2})).headers["etag"],
    ]

    assert len(set(tags)) == len(tags)


async def test_a_page_of_another_origin_gets_its_headers_with_a_304_too(served: Whole) -> None:
    origin = {"origin": "https://shop.example"}
    tag = (await get(served, AIRPORTS, {}, **origin)).headers["etag"]
    response = await get(served, AIRPORTS, {}, **origin, **{"if-none-match": tag})

    assert response.status_code == 304
    assert response.headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize(("text", "variables"), OTHER)
async def test_what_depends_on_the_caller_and_errors_are_never_kept(
    served: Whole, text: str, variables: dict[str, Any]
) -> None:
    response = await get(served, text, variables)

    assert response.headers["cache-control"] == "no-store"
    assert "etag" not in response.headers


async def test_a_text_and_a_post_are_never_kept(served: Whole) -> None:
    by_text = await served.http.get("/graphql", params={"query": AIRPORTS}, headers={"accept": "application/json"})
    by_post = await served.http.post("/graphql", json={"query": AIRPORTS})

    assert {each.headers["cache-control"] for each in (by_text, by_post)} == {"no-store"}


async def test_a_wrong_token_is_refused_and_not_kept(served: Whole) -> None:
    response = await get(served, AIRPORTS, {}, authorization="Bearer of.no.thing")

    assert response.status_code == 401
    assert response.headers["cache-control"] == "no-store"


async def test_every_type_below_a_public_field_has_been_looked_at() -> None:
    schema = create_schema()._schema
    assert schema.query_type is not None
    found: set[str] = set()
    waiting = [get_named_type(schema.query_type.fields[name].type) for name in PUBLIC_SECONDS]
    while waiting:
        type_ = waiting.pop()
        if isinstance(type_, GraphQLObjectType) and type_.name not in found:
            found.add(type_.name)
            waiting += [get_named_type(field.type) for field in type_.fields.values()]

    assert found == PUBLIC_TYPES
