"""Variables are coerced as graphql-core does: the plan either gives the same values, or leaves them to graphql-core."""

from __future__ import annotations

from typing import Any, Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputType,
    GraphQLSchema,
    VariableValues,
    build_schema,
    get_named_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    parse,
)
from graphql.execution.values import get_variable_values
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schema.root import create_schema
from schema.variables import Coercion

SCHEMA: Final = create_schema()._schema
INPUTS: Final = sorted(name for name, type_ in SCHEMA.type_map.items() if is_input_object_type(type_))
PLAIN: Final = {
    "Boolean": st.booleans(),
    "Int": st.integers(-(2**31), 2**31 - 1),
    "Float": st.floats(allow_nan=False, allow_infinity=False),
    "UUID": st.uuids().map(str),
    "DateTime": st.just("2026-11-23T08:30:00Z"),
    "Date": st.dates().map(str),
    "Decimal": st.just("12.50"),
}
#: What a client may send in place of any value.
WRONG: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just({}), st.just([]), st.just([[]])
)


def mostly(valid: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Valid values, seldom a wrong one."""
    return st.integers(0, 19).flatmap(lambda number: valid if number else WRONG)


def values_of(type_: GraphQLInputType) -> st.SearchStrategy[Any]:
    """Valid values, now and then with a wrong one in them."""
    if is_non_null_type(type_):
        return values_of(type_.of_type)
    if is_list_type(type_):
        return mostly(st.lists(values_of(type_.of_type), max_size=2))
    named = get_named_type(type_)
    if is_input_object_type(named):
        fields = {name: values_of(field.type) for name, field in named.fields.items()}
        required = {name: fields.pop(name) for name, field in named.fields.items() if is_non_null_type(field.type)}
        whole = st.fixed_dictionaries(required, optional=fields)
        return mostly(whole | st.builds(lambda value: {**value, "unknown": 1}, whole) if not required else whole)
    if isinstance(named, GraphQLEnumType):
        return mostly(st.sampled_from(list(named.values)))
    return mostly(PLAIN.get(named.name, st.text()))


def judged(schema: GraphQLSchema, declared: str, given_values: dict[str, Any]) -> tuple[Any, Any]:
    """The values by the plan, and by graphql-core."""
    (operation,) = parse(f"query({declared}) {{ __typename }}").definitions
    ours = Coercion(schema, operation, {})(given_values)  # type: ignore[arg-type]
    theirs = get_variable_values(schema, operation.variable_definitions, given_values)  # type: ignore[attr-defined]
    return ours, theirs


@pytest.mark.parametrize("name", INPUTS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_input_is_coerced_as_graphql_core_does(name: str, data: st.DataObject) -> None:
    value = data.draw(values_of(SCHEMA.type_map[name]))  # type: ignore[arg-type]
    ours, theirs = judged(SCHEMA, f"$v: {name}, $w: [{name}!]", {"v": value, "w": [value]})
    event("by the plan" if ours is not None else "left to graphql-core")
    if ours is not None:
        assert isinstance(theirs, VariableValues)
        assert ours.coerced == theirs.coerced
        assert [each.value for each in ours.sources.values()] == [each.value for each in theirs.sources.values()]


@pytest.mark.parametrize(
    ("declared", "given_values"),
    [
        ("$v: Int! = 3", {}),
        ("$v: Int = 3", {"v": None}),
        ("$v: Int", {}),
        ("$v: [Int!]! = [1]", {"v": [2]}),
        ("$v: SagaOrder = OLDEST_FIRST", {}),
        ("$v: BookFlightInput!", {"v": {"segments": [{"flightId": "x"}], "passengers": []}}),
    ],
)
def test_plainly_valid_values_take_the_plan(declared: str, given_values: dict[str, Any]) -> None:
    ours, theirs = judged(SCHEMA, declared, given_values)
    assert ours is not None
    assert ours.coerced == theirs.coerced


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("$v: Int!", None),
        ("$v: [Int]", 1),
        ("$v: Deep", {"deep": {}}),
        ("$v: One", {"a": 1}),
        ("$v: One", {"a": 1, "b": 2}),
        ("$v: Deep", {"other": 1}),
    ],
)
def test_other_values_are_left_to_graphql_core(declared: str, value: Any) -> None:
    schema = build_schema(
        "type Query { a: Int } input Deep { deep: Deep, list: [Deep!] } input One @oneOf { a: Int, b: Int }"
    )
    ours, _ = judged(schema, declared, {"v": value})
    assert ours is None
