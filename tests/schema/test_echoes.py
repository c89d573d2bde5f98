"""An error says where a value stands and what it may be, and never repeats it: it may be a card's token."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    build_schema,
)

from schema.errors import without_values
from schema.execution import Executable, Rejected
from schema.root import create_schema, sdl

SECRET: Final = "hunter2hunter2"
NUMBER: Final = 4_242_424_242_424_242
ASKED: Final = Executable(create_schema())
CLOSED: Final = Executable(create_schema(), introspection=False)
SCHEMA: Final = build_schema(sdl())
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { id } } }"
WRONG: Final = [SECRET, NUMBER, {"card": SECRET}, [[SECRET]], {"token": {"token": SECRET}}, 1.5, True]


def said(document: str, variables: dict[str, Any] | None = None, schema: Executable = ASKED) -> list[str]:
    """The messages by which an operation is rejected; none of them, nor anything beside, holds the secret."""
    rejected = schema.begin(document, variables=variables)
    assert isinstance(rejected, Rejected)
    told = json.dumps([error.formatted for error in rejected.errors])
    assert SECRET not in told
    assert str(NUMBER) not in told
    return [error.message for error in rejected.errors]


def sample(type_: GraphQLInputType) -> Any:
    """A value that the type takes, with everything in it."""
    if isinstance(type_, GraphQLNonNull):
        return sample(type_.of_type)
    if isinstance(type_, GraphQLList):
        return [sample(type_.of_type)]
    if isinstance(type_, GraphQLInputObjectType):
        return {name: sample(field.type) for name, field in type_.fields.items()}
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    return {
        "UUID": "11111111-1111-4111-8111-111111111111",
        "Date": "1990-04-01",
        "Decimal": "1.00",
        "Int": 0,
        "Boolean": False,
    }.get(str(type_), "text")


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a value, the outermost first."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[str | int, ...], by: Any) -> Any:
    """The value with something else at a place."""
    if not path:
        return by
    value = copy.deepcopy(value)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = by
    return value


BOOK_FLIGHT_INPUT: Final = SCHEMA.type_map["BookFlightInput"]
assert isinstance(BOOK_FLIGHT_INPUT, GraphQLInputObjectType)
SAMPLE: Final = sample(BOOK_FLIGHT_INPUT)
PLACES: Final = list(places(SAMPLE))


def test_the_sample_is_taken() -> None:
    assert not isinstance(ASKED.begin(BOOK, variables={"input": SAMPLE}), Rejected)


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)) or "input")
def test_a_variable_that_does_not_fit_is_not_repeated(path: tuple[str | int, ...]) -> None:
    for wrong in WRONG:
        given = replaced(SAMPLE, path, wrong)
        if isinstance(ASKED.begin(BOOK, variables={"input": given}), Rejected):
            assert all(
                message.startswith("Variable '$input' has invalid value") for message in said(BOOK, {"input": given})
            )


def test_the_place_and_what_it_may_be_are_told() -> None:
    payment: dict[str, Any] = {"token": [SECRET]}
    assert said(BOOK, {"input": SAMPLE | {"payment": payment}}) == [
        "Variable '$input' has invalid value at .payment.token: String cannot represent a non string value"
    ]
    assert said(BOOK, {"input": SAMPLE | {"payment": SECRET}}) == [
        "Variable '$input' has invalid value at .payment: Expected value of type 'PaymentInput' to be an object."
    ]
    assert said(BOOK, {"input": {"payment": {"token": SECRET}}}) == [
        "Variable '$input' has invalid value: Expected value of type 'BookFlightInput' to include required field "
        f"'{name}'."
        for name in ("segments", "passengers")
    ]
    assert said(BOOK, {"input": SAMPLE | {"paymint": {"token": SECRET}}}) == [
        "Variable '$input' has invalid value: Expected value of type 'BookFlightInput' not to include unknown field "
        "'paymint'. Did you mean 'payment'?"
    ]
    assert said(BOOK, {"input": SAMPLE | {"payment": {"method": SECRET}}}) == [
        "Variable '$input' has invalid value at .payment.method: This value does not exist in 'PaymentMethod' enum."
    ]
    assert said(BOOK, {"input": SAMPLE | {"correlationId": SECRET}}) == [
        "Variable '$input' has invalid value at .correlationId: UUID must be in its canonical form of 36 characters."
    ]


@pytest.mark.parametrize(
    "payment",
    [
        '"hunter2hunter2"',
        "{token: [hunter2hunter2]}",
        "{token: hunter2hunter2}",
        "{token: 4242424242424242}",
        '{token: {token: "hunter2hunter2"}}',
        '{tokin: "hunter2hunter2"}',
        '{method: "hunter2hunter2"}',
        "{method: hunter2hunter2}",
        "{method: 4242424242424242}",
        '{token: "hunter2hunter2" "hunter2hunter2"}',
        '{token: """hunter2hunter2""" """hunter2hunter2"""}',
        '"hunter2hunter2": "hunter2hunter2"',
        "{4242424242424242}",
        '{token: "hunter2hunter2}',
    ],
)
def test_a_literal_that_does_not_fit_is_not_repeated(payment: str) -> None:
    document = (
        f"mutation {{ bookFlight(input: {{segments: [], passengers: [], payment: {payment}}}) {{ saga {{ id }} }} }}"
    )
    assert said(document)


def test_a_default_that_does_not_fit_is_not_repeated() -> None:
    assert said(f'query($it: UUID = "{SECRET}") {{ saga(correlationId: $it) {{ id }} }}')


def test_what_looks_like_a_cards_token_is_masked_also_where_a_name_should_be() -> None:
    for document in ("{ pm_card_visa }", "query pm_card_visa { nothing } }", "{ airports { code } } pm_card_visa"):
        rejected = ASKED.begin(document)
        assert isinstance(rejected, Rejected)
        assert "pm_card_visa" not in repr([error.formatted for error in rejected.errors])


def test_what_a_scalar_of_its_own_says_of_a_value_is_left_out_too() -> None:
    message = f"Expected value of type 'Day', but encountered error 'no day: {SECRET}'; found: '{SECRET}'."
    assert without_values(message) == "Expected value of type 'Day'."


def test_an_operation_that_there_is_not_is_not_repeated() -> None:
    rejected = ASKED.begin("query A { airports { code } }", name=SECRET)
    assert isinstance(rejected, Rejected)
    assert SECRET not in rejected.errors[0].message


# ---------------------------------------------------------------------- without introspection


@pytest.mark.parametrize("document", ["{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'])
def test_the_schema_may_not_be_asked_for_where_that_is_off(document: str) -> None:
    assert not isinstance(ASKED.begin(document), Rejected)
    assert said(document, schema=CLOSED)
    assert not isinstance(CLOSED.begin("{ __typename }"), Rejected)


def test_errors_do_not_tell_what_introspection_would() -> None:
    misspelt = "mutation($input: BookFlightInput!) { bookFlite(input: $input) { saga { id } } }"
    for document, variables in ((misspelt, None), (BOOK, {"input": SAMPLE | {"paymint": {}}})):
        assert any("Did you mean" in message for message in said(document, variables))
        assert not any("Did you mean" in message for message in said(document, variables, CLOSED))
