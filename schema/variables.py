"""What comes beside a document is looked at before graphql-core does: how much it is, and what it is called.

Whatever a caller sends here can be as long as a body, under names that nobody knows. So there is
an end to the values that are looked at, and a key is repeated only where it is a misspelt name of
ours. What is left for graphql-core to refuse is a value at a known place.

Input objects are then built by a plan that is made once for each type. Strawberry works out the name
and type of every field anew for every value that comes in: half of what a mutation cost before its
resolver. The types are the same each time, so the plan is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from graphql import (
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    OperationDefinitionNode,
    is_enum_type,
    is_input_object_type,
    is_input_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
)
from graphql.pyutils import did_you_mean, print_path_list, suggestion_list
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    has_object_definition,
)

from schema.errors import bad_input, limit_of_variables

__all__ = ["by_plan", "refusal_of"]

#: Of keys of input objects, and of values of enums. Longer ones are no misspelt names.
NAME_CHARACTERS_MAX: Final = 64
_Path = list[str | int]
T = TypeVar("T")
_Convert = Callable[[Any], Any]


def refusal_of(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    *,
    values_max: int,
    suggest: bool,
) -> GraphQLError | None:
    """Why these variables cannot be looked at any further, or None."""
    refusal = _beyond(variables, values_max)
    if refusal is not None:
        return refusal
    for definition in operation.variable_definitions or ():
        name, type_ = definition.variable.name.value, type_from_ast(schema, definition.type)
        if name in variables and is_input_type(type_):
            for path, reason in _unknown(variables[name], type_, [], suggest=suggest):
                message = f"Variable '${name}' has invalid value{print_path_list(path)}: {reason}"
                return GraphQLError(message, definition, extensions={"code": "BAD_USER_INPUT"})
    return None


def _beyond(variables: Mapping[str, Any], values_max: int) -> GraphQLError | None:
    """There are too many values, or one of them is text with a null character: PostgreSQL takes that as no text."""
    values, waiting = 0, [list(variables.values())]
    while waiting:
        level = waiting.pop()
        values += len(level)
        if values > values_max:
            return limit_of_variables(values_max)
        for value in level:
            match value:
                case str():
                    if "\0" in value:
                        return bad_input("Text must not hold a null character.")
                case dict():
                    waiting.append(list(value.values()))
                case list():
                    waiting.append(value)
    return None


def _unknown(value: Any, type_: GraphQLInputType, path: _Path, *, suggest: bool) -> Iterator[tuple[_Path, str]]:
    """Where there is a name that the type does not know, and what is wrong with it."""
    if is_non_null_type(type_):
        type_ = type_.of_type
    if is_list_type(type_):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _unknown(item, type_.of_type, [*path, index], suggest=suggest)
        if not isinstance(value, list):
            yield from _unknown(value, type_.of_type, path, suggest=suggest)
    elif is_input_object_type(type_) and isinstance(value, dict):
        for key, item in value.items():
            field = type_.fields.get(key)
            if field is not None:
                yield from _unknown(item, field.type, [*path, key], suggest=suggest)
                continue
            near = suggestion_list(key, type_.fields) if suggest and len(key) <= NAME_CHARACTERS_MAX else []
            # A key that is near to one of our names is misspelt; any other may be anything.
            unknown = f"unknown field '{key}'.{did_you_mean(near)}" if near else "unknown fields."
            yield path, f"Expected value of type '{type_}' not to include {unknown}"
    elif is_enum_type(type_) and isinstance(value, str) and len(value) > NAME_CHARACTERS_MAX:
        yield path, f"This value does not exist in '{type_}' enum."


def by_plan(input_type: type[T]) -> type[T]:
    """Let values of the Strawberry input `input_type` be built by a plan; a decorator above `strawberry.input`."""
    plans: dict[type, _Plan] = {}

    def build(wanted: type, value: Mapping[str, Any], context: InputContext) -> Any:
        if wanted not in plans:
            plans[wanted] = _Plan(wanted, context.config)
        return plans[wanted](value)

    _definition(input_type).from_input = build
    return input_type


class _Plan:
    """How values of one input type are built: each field's names, and how its value is converted, if at all."""

    def __init__(self, input_type: Any, config: StrawberryConfig) -> None:
        definition = _definition(input_type)
        self._type = input_type
        self._fields = [
            (
                config.name_converter.from_field(field),
                field.python_name,
                _converter(field.resolve_type(type_definition=definition), config),
            )
            for field in definition.fields
        ]

    def __call__(self, value: Mapping[str, Any]) -> Any:
        found = {}
        for name, python_name, convert in self._fields:
            if name in value:
                given = value[name]
                found[python_name] = given if convert is None or given is None else convert(given)
        return self._type(**found)


def _converter(type_: Any, config: StrawberryConfig) -> _Convert | None:
    """What makes a value of `type_` from a coerced one that is not null; None where it is the same."""
    if isinstance(type_, StrawberryOptional):
        return _converter(type_.of_type, config)
    if isinstance(type_, StrawberryList):
        inner = _converter(type_.of_type, config)
        if inner is None:
            # A copy: graphql-core gives the same default to everyone.
            return list
        return lambda values: [None if value is None else inner(value) for value in values]
    return _Plan(type_, config) if has_object_definition(type_) else None


def _definition(input_type: Any) -> StrawberryObjectDefinition:
    definition: StrawberryObjectDefinition = input_type.__strawberry_definition__
    return definition
