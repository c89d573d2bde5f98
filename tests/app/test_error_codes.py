"""Every error has a code, in every transport; and one bad root field does not take the others along."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.app.test_persisted_queries import over
from tests.app.whole import Whole, whole
from tests.support.sockets import open_socket

ID: Final = "018f2d4e-0000-7000-8000-000000000000"
GRAPHQL_JSON: Final = "application/graphql-response+json"
#: A document and its variables: each is refused, or has an error.
BAD: Final[list[tuple[Any, Any]]] = [
    # Not GraphQL, or not of this schema.
    ("{", {}),
    ("{ airports", {}),
    ('{ airports(code: "', {}),
    ("\x00", {}),
    ("type A { b: Int }", {}),
    ("{ nothing }", {}),
    ("{ airports }", {}),
    ("{ airports { code(a: 1) } }", {}),
    ("{ flights(first: 1, first: 2) { totalCount } }", {}),
    ("{ ...A } fragment A on Query { ...A }", {}),
    ("{ a: airports { code } a: viewer { role } }", {}),
    ("{ airports { code } } { airports { code } }", {}),
    ("query A { __typename } query B { __typename }", {}),
    ("query($a: Nope) { __typename }", {}),
    ("query($a: Int, $a: Int) { flights(first: $a) { totalCount } }", {}),
    ("{ __typename @nope }", {}),
    ("{ __typename @include }", {}),
    ("subscription { __typename }", {}),
    ("{ __schema { types { name } } again: __schema { types { name } } }", {}),
    ("{ " + "a" * 70_000 + " }", {}),
    # Variables.
    ("query($f: Int! = 20) { flights(first: $f) { totalCount } }", {"f": None}),
    ("query($f: Int!) { flights(first: $f) { totalCount } }", {}),
    ("query($f: Int!) { flights(first: $f) { totalCount } }", {"f": "1"}),
    ("query($f: Int!) { flights(first: $f) { totalCount } }", {"f": 2**40}),
    ("query($i: UUID!) { saga(correlationId: $i) { id } }", {"i": "x"}),
    ("query($i: UUID!) { saga(correlationId: $i) { id } }", {"i": "a\x00"}),
    ("query($d: Date) { flights(filter: {departsOn: $d}) { totalCount } }", {"d": "2030-02-30"}),
    ("query($i: TripSearchInput!) { searchTrips(input: $i) { outbound { id } } }", {"i": {"passengers": None}}),
    ("query($f: FlightFilter) { flights(filter: $f) { totalCount } }", {"f": {"nope": 1}}),
    ("query($s: [SagaStatus!] = [STUCK]) { sagas(filter: {status: $s}) { totalCount } }", {"s": [None]}),
    # A null for what has a default.
    ("query($o: SagaOrder = NEWEST_FIRST) { sagas(orderBy: $o) { totalCount } }", {"o": None}),
    (f'query($s: Int = 0) {{ saga(correlationId: "{ID}", waitSeconds: $s) {{ id }} }}', {"s": None}),
    ("query($s: SagaStatus = STUCK) { sagas(filter: {status: [$s]}) { totalCount } }", {"s": None}),
    ("query($b: Boolean = true) { viewer @include(if: $b) { role } }", {"b": None}),
    ("query($b: Boolean = true) { __typename viewer @skip(if: $b) { role } }", {"b": None}),
    ('query($n: String = "Saga") { __type(name: $n) { name } }', {"n": None}),
    ('query($n: Boolean = true) { __type(name: "Saga") { fields(includeDeprecated: $n) { name } } }', {"n": None}),
    (f'subscription($a: Int = 0) {{ sagaEvents(correlationId: "{ID}", after: $a) {{ id }} }}', {"a": None}),
    # Arguments, in the document and as the field judges them.
    ("{ flights(first: 0) { totalCount } }", {}),
    ("{ flights(first: 101) { totalCount } }", {}),
    ("{ flights(first: 1, last: 1) { totalCount } }", {}),
    ('{ flights(after: "x") { totalCount } }', {}),
    ('{ sagas(before: "x") { totalCount } }', {}),
    (f'{{ saga(correlationId: "{ID}", waitSeconds: -1) {{ id }} }}', {}),
    ("{ sagas(orderBy: NOPE) { totalCount } }", {}),
    ("{ sagas(orderBy: null) { totalCount } }", {}),
    ('{ search(text: "x") { __typename } }', {}),
    ("{ incidents { sagas } }", {}),
    (f'subscription {{ sagaEvents(correlationId: "{ID}", after: -1) {{ id }} }}', {}),
    ('subscription { sagaEvents(correlationId: "x") { id } }', {}),
    ("mutation { cancelSaga(input: {}) { errors { __typename } } }", {}),
    ('mutation { retrySaga(input: {correlationId: "x"}) { errors { __typename } } }', {}),
]
#: Not even an operation.
MALFORMED: Final[list[dict[str, Any]]] = [
    {},
    {"query": None},
    {"query": 1},
    {"query": "{ __typename }", "variables": []},
    {"query": "{ __typename }", "operationName": 1},
    {"query": "{ __typename }", "operationName": "x" * 300},
    {"query": "query A { __typename }", "operationName": "B"},
    {"query": "{ __typename }", "extensions": 1},
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    async with whole(sqlite_template, tmp_path_factory.mktemp("codes")) as served:
        yield served


def bodies() -> Iterator[dict[str, Any]]:
    """Every bad request, and others made of these by taking, doubling and exchanging parts; the same at each run."""
    dice = random.Random(18)
    for text, variables in BAD:
        yield {"query": text, "variables": variables}
    yield from MALFORMED
    parts = sorted({part for text, _ in BAD if len(text) < 300 for part in text.split(" ")})
    for _ in range(150):
        text, variables = dice.choice(BAD)
        words = text[:300].split(" ")
        words[dice.randrange(len(words))] = dice.choice([*parts, "", "null", "$f", "@skip(if: null)"])
        yield {"query": " ".join(words), "variables": dice.choice([variables, {"f": None, "i": 1, "s": [None]}])}


def errors_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = answer.get("errors") or []
    return errors


async def answers(served: Whole, transport: str) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The first answer to each of `bodies`, over one connection."""
    if transport == "websocket":
        async with open_socket(served.served) as socket:
            await socket.initialise()
            for number, body in enumerate(bodies()):
                await socket.send(id=str(number), type="subscribe", payload=body)
                frame = await socket.receive()
                yield body, {"errors": frame["payload"]} if frame["type"] == "error" else frame.get("payload", {})
                while frame["type"] == "next":
                    frame = await socket.receive()
        return
    accept = "text/event-stream" if transport == "sse" else "application/json"
    for body in bodies():
        said = (await served.http.post("/graphql", json=body, headers={"accept": accept})).text
        first = said.partition("data: ")[2].partition("\n")[0] if transport == "sse" else said
        yield body, json.loads(first or "{}")


@pytest.mark.parametrize("transport", ["post", "sse", "websocket"])
async def test_every_error_has_a_code_and_none_is_a_fault(served: Whole, transport: str) -> None:
    seen = set()
    async for body, answer in answers(served, transport):
        for error in errors_of(answer):
            code = error.get("extensions", {}).get("code")
            assert code, (body, error)
            assert code != "INTERNAL", (body, error)
            seen.add(code)

    assert seen >= {
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "BAD_USER_INPUT",
        "LIMIT_EXCEEDED",
        "FORBIDDEN",
    }


async def test_each_bad_request_has_an_error(served: Whole) -> None:
    for body in [{"query": text, "variables": variables} for text, variables in BAD] + MALFORMED:
        answer = (await served.http.post("/graphql", json=body)).json()
        assert errors_of(answer), body


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "authorization": "Bearer of.no.thing"},
        {"content-type": "application/json", "authorization": "Basic eDp5"},
        {"content-type": "application/json", "accept": "image/png"},
    ],
)
async def test_a_request_that_is_no_operation_has_a_code(served: Whole, headers: dict[str, str]) -> None:
    response = await served.http.post("/graphql", content=b"{", headers=headers)

    assert response.json()["errors"][0]["extensions"]["code"]


# ---------------------------------------------------------------------- one bad root field


#: A root field that cannot be null, with a wrong argument; and the path of its error.
TAKES_ALONG: Final = [
    ("flights(first: 0) { totalCount }", ["flights"]),
    ("many: flights(first: 0) { totalCount }", ["many"]),
    ('flights(after: "x") { totalCount }', ["flights"]),
    ("flights(first: 1, last: 1) { totalCount }", ["flights"]),
    ("sagas(first: $zero) { totalCount }", ["sagas"]),
    ("sagas(orderBy: $null) { totalCount }", ["sagas"]),
    ('sagas(orderBy: OLDEST_FIRST, after: "x") { totalCount }', ["sagas"]),
    ("bookings(last: 101) { totalCount }", ["bookings"]),
    ("viewer { bookings(first: -1) { totalCount } }", ["viewer", "bookings"]),
    ("sagas { edges { node { events(after: -1) { id } } } }", ["sagas", "edges", "node", "events"]),
    ("...Sagas", ["sagas", "edges", "node", "events"]),
    ("... on Query { flights(first: 0) { totalCount } }", ["flights"]),
    (
        'searchTrips(input: {tripType: ONE_WAY, origin: "JFK", destination: "LAX", departsOn: "2030-01-01", '
        "passengers: 0, cabinClass: ECONOMY}) { outbound { id } }",
        ["searchTrips"],
    ),
]
FRAGMENT: Final = "fragment Sagas on Query { sagas { edges { node { events(first: 0) { id } } } } }"


@pytest.mark.parametrize(("field", "path"), TAKES_ALONG)
async def test_a_wrong_argument_that_would_take_the_others_along_refuses_the_query_before_it_runs(
    served: Whole, field: str, path: list[str]
) -> None:
    declared = [name for name in ("$zero: Int = 0", "$null: SagaOrder = NEWEST_FIRST") if name.split(":")[0] in field]
    head = f"query A({', '.join(declared)})" if declared else "query A"
    text = f"{head} {{ other: airports {{ code }} {field} }} {FRAGMENT if '...Sagas' in field else ''}"
    variables = {"null": None} if "$null" in field else {}
    response = await served.http.post(
        "/graphql", json={"query": text, "variables": variables}, headers={"accept": GRAPHQL_JSON}
    )
    body = response.json()

    assert response.status_code == 400
    assert "data" not in body
    assert [error["path"] for error in body["errors"]] == [path]
    assert {error["extensions"]["code"] for error in body["errors"]} == {"BAD_USER_INPUT"}
    assert body["errors"][0]["locations"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (f'saga(correlationId: "{ID}", waitSeconds: -1) {{ id }}', "BAD_USER_INPUT"),
        ('search(text: "x") { __typename }', "FORBIDDEN"),
        ("incidents { sagas }", "FORBIDDEN"),
        ("seatReservations(first: 0) { totalCount }", "FORBIDDEN"),
        ("sagaStatistics { successRate }", "FORBIDDEN"),
        ('bulkAction(id: "x") { id }', "FORBIDDEN"),
        ("paymentProvider { name }", "FORBIDDEN"),
    ],
)
async def test_an_error_in_a_field_that_can_be_null_leaves_the_others(served: Whole, bad: str, code: str) -> None:
    text = f"{{ before: viewer {{ role }} bad: {bad} after: airports {{ code }} }}"
    answer = (await served.http.post("/graphql", json={"query": text})).json()

    assert answer["data"]["bad"] is None
    assert answer["data"]["before"]
    assert answer["data"]["after"]
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["bad"], code)]


async def test_an_id_that_is_none_is_null_and_leaves_the_others(served: Whole) -> None:
    ids = ["", "x", "é", "Flight:1", "RmxpZ2h0OjEy!", "a" * 5_000, ID, "\ud7ff"]
    fields = [f"n{number}: node(id: {json.dumps(text)}) {{ id }}" for number, text in enumerate(ids)]
    fields += [f"f{number}: flight(id: {json.dumps(text)}) {{ id }}" for number, text in enumerate(ids)]
    answer = (await served.http.post("/graphql", json={"query": f"{{ {' '.join(fields)} viewer {{ role }} }}"})).json()

    assert "errors" not in answer
    assert answer["data"].pop("viewer") == {"role": "ANONYMOUS"}
    assert set(answer["data"].values()) == {None}


@pytest.mark.parametrize("directive", ["@skip(if: true)", "@include(if: false)", "@include(if: $no)"])
async def test_a_field_that_is_left_out_is_not_checked(served: Whole, directive: str) -> None:
    declared = "query A($no: Boolean = false)" if "$no" in directive else "query A"
    for field in (
        f"flights(first: 0) {directive} {{ totalCount }}",
        f"... {directive} {{ flights(first: 0) {{ totalCount }} }}",
        f"viewer {{ role ... {directive} {{ bookings(first: 0) {{ totalCount }} }} }}",
    ):
        text = f"{declared} {{ airports {{ code }} {field} }}"
        answer = (await served.http.post("/graphql", json={"query": text})).json()
        assert "errors" not in answer, answer


async def test_a_field_alone_is_answered_as_ever(served: Whole) -> None:
    response = await served.http.post(
        "/graphql", json={"query": "{ flights(first: 0) { totalCount } }"}, headers={"accept": GRAPHQL_JSON}
    )

    assert (response.status_code, response.json()["data"]) == (200, None)
    assert response.json()["errors"][0]["path"] == ["flights"]


async def test_every_wrong_argument_is_named_in_every_transport(served: Whole) -> None:
    body = {"query": "{ a: flights(first: 0) { totalCount } b: sagas(first: 0) { totalCount } viewer { role } }"}
    for transport in ("post", "get", "sse", "websocket"):
        answer = await over(transport, served.served, body)
        assert [error["path"] for error in answer["errors"]] == [["a"], ["b"]], transport
