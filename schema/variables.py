"""Variables: checks their number and names before graphql-core does, and builds input objects.

Variables can be as long as a body and have any names. So the number of checked values is limited, and
an error repeats a key only if it is a misspelt name of ours. After this check, graphql-core can refuse
only values at known places.

Input objects are then built by a plan that is computed once for each type. Strawberry computes the
name and type of every field again for every value: half of the time of a mutation before its
resolver.
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

#: The limit for keys of input objects and values of enums. A longer one is not a misspelt name.
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
    """Why these variables are refused, or None."""
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
    """An error if there are too many values, or a text has a null character, which PostgreSQL does not accept."""
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
    """Each place with a name that the type does not have, and the reason."""
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
            # A key that is similar to one of our names is misspelt; another key may be a secret.
            unknown = f"unknown field '{key}'.{did_you_mean(near)}" if near else "unknown fields."
            yield path, f"Expected value of type '{type_}' not to include {unknown}"
    elif is_enum_type(type_) and isinstance(value, str) and len(value) > NAME_CHARACTERS_MAX:
        yield path, f"This value does not exist in '{type_}' enum."


def by_plan(input_type: type[T]) -> type[T]:
    """Build values of the Strawberry input `input_type` by a plan; a decorator above `strawberry.input`."""
    plans: dict[type, _Plan] = {}

    def build(wanted: type, value: Mapping[str, Any], context: InputContext) -> Any:
        if wanted not in plans:
            plans[wanted] = _Plan(wanted, context.config)
        return plans[wanted](value)

    _definition(input_type).from_input = build
    return input_type


class _Plan:
    """The plan to build values of one input type: each field's names, and the converter of its value, if any."""

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
    """Converts a coerced value that is not null to a value of `type_`; None if no conversion is needed."""
    if isinstance(type_, StrawberryOptional):
        return _converter(type_.of_type, config)
    if isinstance(type_, StrawberryList):
        inner = _converter(type_.of_type, config)
        if inner is None:
            # A copy: graphql-core gives the same default object to every caller.
            return list
        return lambda values: [None if value is None else inner(value) for value in values]
    return _Plan(type_, config) if has_object_definition(type_) else None


def _definition(input_type: Any) -> StrawberryObjectDefinition:
    definition: StrawberryObjectDefinition = input_type.__strawberry_definition__
    return definition
