"""What a document may ask for, known before anything is read."""

from __future__ import annotations

import time
from typing import Any

import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_introspection_query,
    get_named_type,
    is_composite_type,
    parse,
)

from schema.cost import LIST_SIZES, LOAD_POINTS, OPERATION_POINTS, ROOT_POINTS, Sizes, bound_of
from schema.documents import Limits
from schema.execution import Executable, Execution, Rejected
from schema.root import create_schema

STRAWBERRY = create_schema()
SCHEMA = STRAWBERRY._schema
ASKED = Executable(STRAWBERRY)
LOAD, ROOT = LOAD_POINTS, ROOT_POINTS


def cost(text: str, **variables: Any) -> int:
    found = ASKED.begin(text, variables=variables)
    assert isinstance(found, Execution), found
    return found.cost


def refusal(text: str, *, limits: Limits | None = None, **variables: Any) -> dict[str, Any]:
    found = (ASKED if limits is None else Executable(STRAWBERRY, limits)).begin(text, variables=variables)
    assert isinstance(found, Rejected), found
    (error, *_) = found.errors
    return {"message": error.message, **(error.extensions or {})}


def test_every_list_of_objects_has_a_size() -> None:
    lists = {
        (name, field)
        for name, type_ in SCHEMA.type_map.items()
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field, definition in type_.fields.items()
        if "first" not in definition.args
        and not (name.endswith("Connection") and field == "edges")
        and _is_list(definition.type)
        and is_composite_type(get_named_type(definition.type))
    }
    assert lists <= set(LIST_SIZES)
    assert set(LIST_SIZES) - lists == {("Seat", "cabinClasses")}, "a list of leaves that is shorter than others"


def _is_list(type_: Any) -> bool:
    while hasattr(type_, "of_type"):
        if isinstance(type_, GraphQLList):
            return True
        type_ = type_.of_type
    return False


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("{ __typename }", {}, 1),
        ("{ a: __typename b: __typename }", {}, 2),
        ('{ flight(id: "a") { number } }', {}, LOAD + 2 + 1),
        (
            '{ flight(id: "a") { seats { number } fares { price { amount } } } }',
            {},
            LOAD + 2 + LOAD + 162 * 3 + LOAD + 3 * (2 + 3),
        ),
        ('{ flight(id: "a") { seats { cabinClasses } } }', {}, LOAD + 2 + LOAD + 162 * (2 + 1 + 2)),
        ("{ flights(first: 10) { edges { node { id } } } }", {}, ROOT + 2 + 10 * 5),
        ("{ flights { edges { node { id } } } }", {}, ROOT + 2 + 20 * 5),
        ("query($n: Int!) { flights(first: $n) { edges { node { id } } } }", {"n": 7}, ROOT + 2 + 7 * 5),
        # GraphQL takes it for an Int.
        ("query($n: Int!) { flights(first: $n) { edges { node { id } } } }", {"n": 7.0}, ROOT + 2 + 7 * 5),
        ("query($n: Int!) { flights(last: $n) { edges { node { id } } } }", {"n": 1e2}, ROOT + 2 + 100 * 5),
        ("query($n: Int! = 5) { flights(first: $n) { edges { node { id } } } }", {}, ROOT + 2 + 5 * 5),
        (
            "{ flights(first: 50) { totalCount pageInfo { endCursor } edges { cursor } } }",
            {},
            ROOT + 2 + 301 + 3 + 50 * 3,
        ),
        (
            "{ a: flights(first: 1) { edges { cursor } } b: flights(first: 2) { edges { cursor } } }",
            {},
            2 * (ROOT + 2) + 3 * 3,
        ),
        ("{ ...F } fragment F on Query { flights(first: 3) { edges { cursor } } }", {}, ROOT + 2 + 3 * 3),
        (
            "{ a: flights(first: 1) { ...F } b: flights(first: 2) { ...F } } fragment F on FlightConnection {"
            " edges { cursor } }",
            {},
            2 * (ROOT + 2) + 3 * 3,
        ),
        (
            "query($n: Int!) { sagas(first: $n) { edges { node { ...S } } } }"
            " fragment S on Saga { events(first: $n) { id } }",
            {"n": 2},
            ROOT + 2 + 2 * (2 + LOAD + 2 + ROOT + 2 * 3),
        ),
        ("{ __schema { types { name } } }", {}, 1 + 2 * len(SCHEMA.type_map)),
    ],
)
def test_the_cost_is_what_the_answer_may_hold_and_what_is_read(
    text: str, variables: dict[str, Any], expected: int
) -> None:
    assert cost(text, **variables) == OPERATION_POINTS + expected


@pytest.mark.parametrize("text", [get_introspection_query(), get_introspection_query(input_value_deprecation=True)])
def test_clients_may_ask_for_the_schema_and_it_counts(text: str) -> None:
    assert 2_000 < cost(text) < Limits().cost_max / 5


@pytest.mark.parametrize(
    "text",
    [
        "{ a: __schema { types { name } } b: __schema { types { name } } }",
        '{ __schema { types { name } } __type(name: "Saga") { name } }',
        '{ ...F a: __type(name: "Saga") { name } } fragment F on Query { b: __type(name: "Seat") { name } }',
    ],
)
def test_an_operation_asks_for_the_schema_once(text: str) -> None:
    refused = refusal(text)
    assert (refused["code"], refused["limit"]) == ("LIMIT_EXCEEDED", 1)


def test_what_held_the_loop_for_seconds_is_refused() -> None:
    names = " ".join(f"a{n}: number" for n in range(30))
    assert refusal(f"{{ flights(first: 100) {{ edges {{ node {{ seats {{ {names} }} }} }} }} }}")["cost"] > 500_000


def test_a_document_that_may_bring_too_much_is_refused_with_the_limit_and_its_cost() -> None:
    text = "{ sagas(first: 100) { edges { node { reservations { seat { id } flight { seats { id } } } } } } }"
    refused = refusal(text)
    assert (refused["code"], refused["limit"]) == ("LIMIT_EXCEEDED", Limits().cost_max)
    assert refused["cost"] > Limits().cost_max


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{" + " ".join(f"a{number}: __typename" for number in range(31)) + "}", "30 aliases"),
        ("{" + " ".join("__typename" for _ in range(2_001)) + "}", "2,000 tokens"),
        ("{ " + "saga { " * 16 + "id" + " }" * 17, "15 levels"),
        ("{ saga " * 900 + "}" * 900, "15 levels"),
    ],
)
def test_a_document_beyond_a_limit_is_refused_and_told_which(text: str, what: str) -> None:
    refused = refusal(text)
    assert refused["code"] == "LIMIT_EXCEEDED"
    assert what in refused["message"]


@pytest.mark.parametrize(
    "text",
    [
        "{" + " __typename" * 800 + "}",
        "{"
        + " ".join(f"...F{n}" for n in range(150))
        + "}"
        + " ".join(f"fragment F{n} on Query {{ airports {{ code name }} }}" for n in range(150)),
        "{" + " flights(first: 1) { totalCount }" * 180 + "}",
    ],
    ids=["a field", "fragments on one field", "a field with arguments"],
)
def test_many_fields_of_one_name_are_compared_up_to_a_limit(text: str) -> None:
    refused = refusal(text)
    assert (refused["code"], refused["limit"]) == ("LIMIT_EXCEEDED", 10_000)


def test_as_many_fields_of_one_name_as_people_write_are_compared() -> None:
    fields = "id number departsAt arrivesAt origin { code name }"
    fragments = " ".join(f"fragment F{n} on Flight {{ {fields} }}" for n in range(20))
    assert cost('{ flight(id: "a") { ' + " ".join(f"...F{n}" for n in range(20)) + " } } " + fragments) > 0


def test_fragments_that_double_at_every_step_are_measured_in_no_time() -> None:
    steps = 12
    fragments = [f"fragment F{n} on Flight {{ ...F{n + 1} ...F{n + 1} id }}" for n in range(steps)]
    text = " ".join(['{ flight(id: "a") { ...F0 } }', *fragments, f"fragment F{steps} on Flight {{ seats {{ id }} }}"])
    began = time.process_time()
    found = ASKED.begin(text)
    # 2 to the power of 12 seat maps are counted by multiplication, not by walking through them.
    assert time.process_time() - began < 5
    assert isinstance(found, Rejected)


def test_a_fragment_that_spreads_itself_is_an_invalid_document() -> None:
    refused = refusal("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")
    assert refused["code"] == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("text", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: UUID!) { saga(correlationId: $id) { id } }", {"id": "x"}, "BAD_USER_INPUT"),
        ("query($id: UUID!) { saga(correlationId: $id) { id } }", {}, "BAD_USER_INPUT"),
        ("query A { __typename } query B { __typename }", {}, "BAD_USER_INPUT"),
        ('{ booking(reference: "\\u0000") { id } }', {}, "BAD_USER_INPUT"),
        ("query($r: String!) { booking(reference: $r) { id } }", {"r": "a\0"}, "BAD_USER_INPUT"),
        ("fragment F on Query { __typename }", {}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_what_cannot_run_is_refused_with_its_code(text: str, variables: dict[str, Any], code: str) -> None:
    assert refusal(text, **variables)["code"] == code


def test_without_introspection_the_schema_is_not_told() -> None:
    silent = Executable(STRAWBERRY, introspection=False)
    assert isinstance(silent.begin("{ __schema { queryType { name } } }"), Rejected)
    assert isinstance(silent.begin("{ __typename }"), Execution)


def test_a_bound_is_for_one_operation_of_its_document() -> None:
    document = parse(
        "query A { flights(first: 1) { edges { cursor } } } query B { flights(first: 9) { edges { cursor } } }"
    )
    operations = [part for part in document.definitions if isinstance(part, OperationDefinitionNode)]
    costs = [bound_of(SCHEMA, Sizes(SCHEMA), document, operation).of({}) for operation in operations]
    assert costs == [OPERATION_POINTS + ROOT + 2 + 3 * edges for edges in (1, 9)]
