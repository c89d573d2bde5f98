"""The API is what the committed schema says, and never less than what its contract promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    is_specified_directive,
    is_specified_scalar_type,
)

from schema.root import SDL_FILE, sdl

_NAME: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
_LISTED: Final = re.compile(rf"{_NAME.pattern}(?:, {_NAME.pattern})+")

#: The lists of the contract, which has no `last` and `before`.
LISTS: Final = {
    ("Query", "flights"),
    ("Query", "sagas"),
    ("Query", "bookings"),
    ("Query", "operatorActions"),
    ("Query", "seatReservations"),
    ("LoyaltyAccount", "entries"),
    ("Viewer", "bookings"),
    ("Incident", "sagasOf"),
}
CONTRACT: Final = build_schema(Path(__file__).with_name("contract.graphql").read_text())
OURS: Final = build_schema(sdl())


def descriptions(schema: GraphQLSchema) -> dict[str, str | None]:
    """What is said about each type, field, argument and enum value, by its place."""
    return dict(_described(schema))


def _described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for name, named in schema.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(named):
            continue
        yield name, named.description
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in named.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name}:)", argument.description
        elif isinstance(named, GraphQLInputObjectType):
            for field_name, input_field in named.fields.items():
                yield f"{name}.{field_name}", input_field.description
        elif isinstance(named, GraphQLEnumType):
            for value_name, value in named.values.items():
                yield f"{name}.{value_name}", value.description


def promises(schema: GraphQLSchema) -> set[str]:
    """Every output field that is never null, and every place in it that is not."""
    return {
        f"{name}.{field_name}: {field.type}"
        for name, named in schema.type_map.items()
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__")
        for field_name, field in named.fields.items()
        if isinstance(field.type, GraphQLNonNull)
    }


def test_the_committed_schema_is_what_the_code_says() -> None:
    assert SDL_FILE.read_text() == sdl()


def test_nothing_that_the_contract_promises_is_broken() -> None:
    assert [change.description for change in find_breaking_changes(CONTRACT, OURS)] == []


def test_what_was_added_beside_the_contract_is_known_and_optional() -> None:
    """Steps and compensations may be added: a client keeps a default branch for them, as the contract says."""
    added = {
        (change.type.name, change.description.split("(")[0])
        for change in find_dangerous_changes(CONTRACT, OURS)
        if not re.match(r"Enum value (StepName|CompensationName|OperatorActionKind)\.\w+ was added", change.description)
    }
    # Every list can be read backwards, too.
    backwards = {f"An optional argument {name}.{field}" for name, field in LISTS}
    assert added == {("OPTIONAL_ARG_ADDED", argument) for argument in backwards} | {
        ("OPTIONAL_ARG_ADDED", "An optional argument Query.saga"),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field FlightFilter.includeDeparted was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field SagaFilter.stuckWith was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field SagaFilter.isUndoing was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field StartBulkActionInput.idempotencyKey was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field SagaFilter.isPlaceKnown was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field CancelSagaInput.reason was added."),
        ("OPTIONAL_INPUT_FIELD_ADDED", "An optional field RetrySagaInput.reason was added."),
        ("TYPE_ADDED_TO_UNION", "InvalidInputError was added to union type CancelSagaError."),
        ("TYPE_ADDED_TO_UNION", "InvalidInputError was added to union type RetrySagaError."),
    }


def test_nothing_may_be_null_that_the_contract_says_is_not() -> None:
    assert promises(CONTRACT) - promises(OURS) == set()


@pytest.mark.parametrize(("place", "words"), sorted((p, w) for p, w in descriptions(CONTRACT).items() if w))
def test_the_contracts_words_are_in_ours(place: str, words: str) -> None:
    """Where they list steps, steps may have been added between them."""
    ours = " ".join((descriptions(OURS).get(place) or "").split())
    assert _LISTED.sub("...", " ".join(words.split())) in _LISTED.sub("...", ours)
    rest = iter(_NAME.findall(ours))
    assert all(name in rest for name in _NAME.findall(words)), ours


def test_everything_is_described_but_enum_values_that_speak_for_themselves() -> None:
    self_evident = {
        f"{name}.{value}"
        for name, named in CONTRACT.type_map.items()
        if isinstance(named, GraphQLEnumType) and not name.startswith("__")
        for value, described in named.values.items()
        if not described.description
    }
    assert {place for place, words in descriptions(OURS).items() if not words} <= self_evident


def test_no_directive_of_the_server_is_needed_to_read_the_schema() -> None:
    assert [directive.name for directive in OURS.directives if not is_specified_directive(directive)] == []
