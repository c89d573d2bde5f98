"""What comes beside a document is looked at before graphql-core does: how much it is, and what it is called.

Whatever a caller sends here can be as long as a body, under names that nobody knows. So there is
an end to the values that are looked at, and a key is repeated only where it is a misspelt name of
ours. What is left for graphql-core to refuse is a value at a known place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

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

from schema.errors import bad_input, limit_of_variables

__all__ = ["refusal_of"]

#: Of keys of input objects, and of values of enums. Longer ones are no misspelt names.
NAME_CHARACTERS_MAX: Final = 64
_Path = list[str | int]


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
