"""Guests over the wire: a look-up needs no token, all else does, and no address may guess for long."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import pytest_asyncio
from graphql import GraphQLError

from app.http import graphql
from app.http.graphql import GUEST_BODY_BYTES_MAX
from app.http.rates import GuestRate
from app.main import GUEST_DOCUMENTS_PER_MINUTE
from schema.persisted import hash_of
from tests.app.whole import Whole, whole
from tests.support.identity import claims
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

SECRET: Final = "a secret of thirty-two characters"
LIMIT: Final = 3
LOOKUP: Final = """query Guest($it: String!, $name: String!) {
  guestBooking(reference: $it, familyName: $name) { reference }
}"""
OF_OWNERS: Final = {
    "nothing but its type": "{ __typename }",
    "the schema": "{ __schema { queryType { name } } }",
    "flights": "{ flights { totalCount } }",
    "the viewer": "{ viewer { role } }",
    "something beside": '{ guestBooking(reference: "A", familyName: "B") { id } flights { totalCount } }',
    "something in a fragment": """{ guestBooking(reference: "A", familyName: "B") { id } ...F }
      fragment F on Query { viewer { role } }""",
    "another field by its name": '{ guestBooking: booking(reference: "A") { id } }',
    "a mutation": 'mutation { cancelBooking(input: {reference: "A"}) { errors { __typename } } }',
    "no GraphQL": "{",
    "no field of ours": "{ guestBookings }",
}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    settings: dict[str, Any] = {
        "auth": "jwt",
        "jwt_secret": SECRET,
        "guest_lookups_per_minute_max": LIMIT,
        "forwarded_allow_ips": ("127.0.0.1",),
        "persisted_queries": "automatic",
    }
    async with whole(sqlite_template, tmp_path_factory.mktemp("house"), **settings) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(house: Whole) -> str:
    """A booking of Augusta's."""
    bearer = {"authorization": f"Bearer {jwt.encode(claims(sub='augusta'), SECRET, algorithm='HS256')}"}

    async def ask(query: str, **variables: Any) -> dict[str, Any]:
        answer = await house.http.post("/graphql", json={"query": query, "variables": variables}, headers=bearer)
        data: dict[str, Any] = answer.json()["data"]
        return data

    flight = (await ask("{ flights(first: 1) { edges { node { id } } } }"))["flights"]["edges"][0]["node"]["id"]
    it = str(uuid.uuid4())
    wish = {
        "correlationId": it,
        "segments": [{"flightId": flight}],
        "passengers": [{"givenName": "Augusta", "familyName": "Byron-Lovelace"}],
        "payment": {},
    }
    await ask("mutation($i: BookFlightInput!) { bookFlight(input: $i) { saga { status } } }", i=wish)
    saga = "query($it: UUID!) { saga(correlationId: $it, waitSeconds: 10) { booking { reference } } }"
    return str((await ask(saga, it=it))["saga"]["booking"]["reference"])


async def look_up(house: Whole, reference: str, name: str = "byron lovelace", *, address: str, **more: Any) -> Any:
    body = {"query": LOOKUP, "variables": {"it": reference, "name": name}, **more}
    return await house.http.post("/graphql", json=body, headers={"x-forwarded-for": address})


async def test_a_visitor_without_a_token_looks_up_a_booking(house: Whole, reference: str) -> None:
    answer = await look_up(house, reference.lower(), address="192.0.2.1")

    assert answer.status_code == 200
    assert answer.json()["data"] == {"guestBooking": {"reference": reference}}
    assert (await look_up(house, reference, "Smith", address="192.0.2.1")).json()["data"] == {"guestBooking": None}


@pytest.mark.parametrize("asked", OF_OWNERS)
async def test_all_else_needs_a_token_as_before(house: Whole, asked: str) -> None:
    answer = await house.http.post("/graphql", json={"query": OF_OWNERS[asked]})

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "data" not in answer.json()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"query": 1}', b"{" + b" " * 20_000 + b"}"])
async def test_a_body_that_is_no_lookup_needs_a_token(house: Whole, body: bytes) -> None:
    answer = await house.http.post("/graphql", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 401


async def test_a_wrong_token_is_never_a_missing_one(house: Whole, reference: str) -> None:
    body = {"query": LOOKUP, "variables": {"it": reference, "name": "x"}}
    for authorization in ("Bearer nonsense", "Basic YTpi", "Bearer", ""):
        answer = await house.http.post("/graphql", json=body, headers={"authorization": authorization})
        assert answer.status_code == 401, authorization


async def test_an_address_has_so_many_lookups_and_then_waits(house: Whole, reference: str) -> None:
    """Found or not, alone or beside others in one document; another address is not concerned."""
    address = "2001:db8:7::1"
    two = """query($it: String!) {
      a: guestBooking(reference: $it, familyName: "x") { id } b: guestBooking(reference: $it, familyName: "y") { id }
    }"""
    first = await house.http.post(
        "/graphql", json={"query": two, "variables": {"it": reference}}, headers={"x-forwarded-for": address}
    )
    assert first.json()["data"] == {"a": None, "b": None}
    assert (await look_up(house, reference, address=address)).json()["data"]["guestBooking"]

    # The whole /64 is one caller.
    refused = (await look_up(house, reference, address="2001:db8:7::ffff")).json()
    assert refused["data"] == {"guestBooking": None}
    assert refused["errors"][0]["extensions"] == {"code": "LIMIT_EXCEEDED", "limit": LIMIT, "retryAfterSeconds": 20}
    assert (await look_up(house, reference, address="2001:db8:8::1")).json()["data"]["guestBooking"]


async def test_an_address_uses_up_the_cost_of_its_own_lookups_alone(house: Whole, reference: str) -> None:
    seats = "segments { flight { seats { id number row letter status cabinClasses } } }"
    # Left out by its directive: it is paid for, and is no look-up.
    one = f'guestBooking(reference: "AAAAAA", familyName: "x") @skip(if: true) {{ {seats} }}'
    dear = f"{{ {' '.join(f'a{number}: {one}' for number in range(30))} }}"
    mallory = {"x-forwarded-for": "192.0.2.20"}
    answers = [(await house.http.post("/graphql", json={"query": dear}, headers=mallory)).json() for _ in range(20)]
    assert "points a minute" in answers[-1]["errors"][0]["message"]

    other = await house.http.post("/graphql", json={"query": dear}, headers={"x-forwarded-for": "192.0.2.21"})
    assert other.json()["data"] == {}


async def test_an_address_makes_the_server_validate_few_documents(house: Whole, reference: str) -> None:
    """Validation of a document takes much longer than the refusal of a request without a token."""
    refused = []
    for number in range(GUEST_DOCUMENTS_PER_MINUTE + 1):
        body = {"query": f"{{ guestBooking {{ id a{number} }} }}"}
        refused.append((await house.http.post("/graphql", json=body, headers={"x-forwarded-for": "192.0.2.30"})).json())
    codes = [answer["errors"][0]["extensions"]["code"] for answer in refused]
    assert codes == ["UNAUTHENTICATED"] * GUEST_DOCUMENTS_PER_MINUTE + ["LIMIT_EXCEEDED"]

    # A document that is known costs nothing; neither does what a guest cannot have.
    assert (await look_up(house, reference, address="192.0.2.31")).json()["data"]
    assert (await look_up(house, reference, address="192.0.2.30")).json()["data"]
    body = {"query": "{ flights { totalCount } }"}
    other = await house.http.post("/graphql", json=body, headers={"x-forwarded-for": "192.0.2.30"})
    assert other.status_code == 401


async def test_a_signed_in_caller_has_no_more_lookups_than_a_guest(house: Whole, reference: str) -> None:
    headers = {
        "authorization": f"Bearer {jwt.encode(claims(sub='mallory'), SECRET, algorithm='HS256')}",
        "x-forwarded-for": "192.0.2.9",
    }
    body = {"query": LOOKUP, "variables": {"it": reference, "name": "x"}}
    answers = [(await house.http.post("/graphql", json=body, headers=headers)).json() for _ in range(LIMIT + 1)]

    assert ["errors" in answer for answer in answers] == [False] * LIMIT + [True]


async def test_a_guest_may_name_a_document_by_its_hash_and_teach_only_lookups(house: Whole, reference: str) -> None:
    def extensions(query: str) -> dict[str, Any]:
        return {"persistedQuery": {"version": 1, "sha256Hash": hash_of(query)}}

    flights = "{ flights { totalCount } }"
    taught = await house.http.post("/graphql", json={"query": flights, "extensions": extensions(flights)})
    assert taught.status_code == 401
    bearer = {"authorization": f"Bearer {jwt.encode(claims(sub='ada'), SECRET, algorithm='HS256')}"}
    known = await house.http.post("/graphql", json={"extensions": extensions(flights)}, headers=bearer)
    assert known.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"

    unknown = await house.http.post("/graphql", json={"extensions": extensions(LOOKUP)})
    assert unknown.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert (await look_up(house, reference, address="192.0.2.3", extensions=extensions(LOOKUP))).status_code == 200
    body = {"variables": {"it": reference, "name": "byron lovelace"}, "extensions": extensions(LOOKUP)}
    by_hash = await house.http.post("/graphql", json=body, headers={"x-forwarded-for": "192.0.2.3"})
    assert by_hash.json()["data"] == {"guestBooking": {"reference": reference}}


async def test_a_lookup_that_meets_a_busy_server_is_told_so(
    sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that it needs a token: others' bodies, which come slowly, have filled what all guests may send at once."""
    monkeypatch.setattr(graphql, "GUEST_READING_BYTES_MAX", GUEST_BODY_BYTES_MAX)
    async with whole(sqlite_template, tmp_path, auth="jwt", jwt_secret=SECRET) as house:
        _, slow = await asyncio.open_connection("127.0.0.1", house.served.port)
        head = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {GUEST_BODY_BYTES_MAX}"
        slow.write(f"POST /graphql HTTP/1.1\r\n{head}\r\n\r\n".encode() + b" " * (GUEST_BODY_BYTES_MAX - 1))

        async def told() -> bool:
            answer = await look_up(house, "AAAAAA", address="192.0.2.1")
            return answer.status_code == 503 and "retry-after" in answer.headers

        await eventually(told)
        slow.close()


async def test_without_authentication_an_address_is_limited_on_every_transport(
    sqlite_template: Path, tmp_path: Path
) -> None:
    async with whole(sqlite_template, tmp_path, guest_lookups_per_minute_max=2) as house:
        body = {"query": LOOKUP, "variables": {"it": "AAAAAA", "name": "x"}}
        async with open_socket(house.served) as socket:
            await socket.initialise()
            await socket.subscribe("1", **body)
            assert (await socket.receive())["payload"]["data"] == {"guestBooking": None}
            assert "errors" not in (await house.http.post("/graphql", json=body)).json()
            assert (await socket.receive())["type"] == "complete"
            await socket.subscribe("2", **body)
            (error,) = (await socket.receive())["payload"]["errors"]
        (again,) = (await house.http.post("/graphql", json=body)).json()["errors"]
        streamed = await house.http.post("/graphql", json=body, headers={"accept": "text/event-stream"})

    assert error["extensions"]["code"] == again["extensions"]["code"] == "LIMIT_EXCEEDED"
    assert "LIMIT_EXCEEDED" in streamed.text


async def test_a_lookup_comes_back_with_time() -> None:
    seconds = 1_000.0
    rate = GuestRate(per_minute=6, now=lambda: seconds)
    for _ in range(6):
        rate.count("192.0.2.1")
    with pytest.raises(GraphQLError) as refused:
        rate.count("192.0.2.1")
    assert (refused.value.extensions or {})["retryAfterSeconds"] == 10
    seconds += 10
    rate.count("192.0.2.1")
    rate.count(None)
