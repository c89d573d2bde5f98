"""Variables: limits their number, coerces them, checks the names in those that are refused, and builds input objects.

Variables can be as long as a body and have any names. So the number of checked values is limited, and
an error repeats a key only if it is a misspelt name of ours. After this check, graphql-core can refuse
only values at known places.

::

    too_many(...)         the number of values, before anything looks at them
    Coercion              by a plan that is computed once for each operation; values that are not plainly valid are
                          left to graphql-core, which judges them and words the errors
    unknown_names(...)    of values that graphql-core refuses: is it for a name?
    by_plan               builds input objects of the coerced values

graphql-core asks for the kind of every type again for every value, and Strawberry computes the name and type of every
field again: both together took two thirds of the time of a mutation before its resolver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLLeafType,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    assert_leaf_type,
    is_enum_type,
    is_input_object_type,
    is_input_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.pyutils import did_you_mean, print_path_list, suggestion_list
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    has_object_definition,
)

from schema.errors import bad_input, limit_of_variables

__all__ = ["Coercion", "Readers", "by_plan", "converter", "too_many", "unknown_names"]

#: The limit for keys of input objects and values of enums. A longer one is not a misspelt name.
NAME_CHARACTERS_MAX: Final = 64
_Path = list[str | int]
T = TypeVar("T")
_Convert = Callable[[Any], Any]
Readers = dict[GraphQLInputObjectType, _Convert]


def unknown_names(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, Any], *, suggest: bool
) -> GraphQLError | None:
    """The first name in these variables that their types do not have, as an error; None if there is none."""
    for definition in operation.variable_definitions or ():
        name, type_ = definition.variable.name.value, type_from_ast(schema, definition.type)
        if name in variables and is_input_type(type_):
            for path, reason in _unknown(variables[name], type_, [], suggest=suggest):
                message = f"Variable '${name}' has invalid value{print_path_list(path)}: {reason}"
                return GraphQLError(message, definition, extensions={"code": "BAD_USER_INPUT"})
    return None


def too_many(variables: Mapping[str, Any], values_max: int) -> GraphQLError | None:
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


# ---------------------------------------------------------------------- coercion


class _Unfit(Exception):
    """The value is not plainly valid."""


class Coercion:
    """Coerces the variables of one operation of a valid document, as graphql-core does.

    `readers`: of the schema's input objects that were met before.
    """

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, readers: Readers) -> None:
        signatures = (get_variable_signature(schema, each) for each in operation.variable_definitions or ())
        self._variables = [
            (each, _reader(each.type, readers), is_non_null_type(each.type))
            for each in signatures
            if not isinstance(each, GraphQLError)
        ]

    def __call__(self, given: Mapping[str, Any]) -> VariableValues | None:
        """The values, which come from JSON; None if they are not plainly valid."""
        sources, coerced = {}, {}
        try:
            for signature, read, is_required in self._variables:
                name = signature.name
                if name in given:
                    sources[name] = VariableValueSource(signature, given[name])
                    coerced[name] = read(given[name])
                    continue
                sources[name] = VariableValueSource(signature)
                if signature.default is not None:
                    coerced[name] = coerce_default_value(signature)
                elif is_required:
                    return None
        except Exception:
            # Whatever a type raises: graphql-core meets it again, and says what is wrong.
            return None
        return VariableValues(sources, coerced)


def _reader(type_: GraphQLInputType, known: Readers) -> _Convert:
    """Coerces a value to `type_`, or raises."""
    if is_non_null_type(type_):
        return _some(_reader(type_.of_type, known))
    if is_list_type(type_):
        return _items(_reader(type_.of_type, known))
    if not is_input_object_type(type_):
        return _leaf(assert_leaf_type(type_))
    if type_ not in known:
        known[type_] = _unfit  # For a type within itself: graphql-core limits its depth.
        known[type_] = _unfit if type_.is_one_of else _fields(type_, known)
    return known[type_]


def _unfit(value: Any) -> Any:
    raise _Unfit


def _some(read: _Convert) -> _Convert:
    def some(value: Any) -> Any:
        if value is None:
            raise _Unfit
        return read(value)

    return some


def _leaf(type_: GraphQLLeafType) -> _Convert:
    coerce = type_.coerce_input_value
    names = type_.values if is_enum_type(type_) else None

    def leaf(value: Any) -> Any:
        if value is None:
            return None
        if names is not None and not (isinstance(value, str) and value in names):
            # The enum would look for similar names, however long the value is.
            raise _Unfit
        coerced = coerce(value)
        if coerced is Undefined:
            raise _Unfit
        return coerced

    return leaf


def _items(read: _Convert) -> _Convert:
    def items(value: Any) -> Any:
        if value is None:
            return None
        # A single value for a list of one is left to graphql-core.
        if not isinstance(value, list):
            raise _Unfit
        return [read(item) for item in value]

    return items


def _fields(type_: GraphQLInputObjectType, known: Readers) -> _Convert:
    fields = [
        (name, field.out_name or name, field, _reader(field.type, known), is_required_input_field(field))
        for name, field in type_.fields.items()
    ]
    build = type_.out_type

    def read_fields(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _Unfit
        coerced, unread = {}, len(value)
        for name, out_name, field, read, is_required in fields:
            if name in value:
                coerced[out_name] = read(value[name])
                unread -= 1
            elif is_required:
                raise _Unfit
            elif (default := coerce_default_value(field)) is not Undefined:
                coerced[out_name] = default
        if unread:
            raise _Unfit
        return build(coerced)

    return read_fields


# ---------------------------------------------------------------------- input objects


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
                converter(field.resolve_type(type_definition=definition), config),
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


def converter(type_: Any, config: StrawberryConfig) -> _Convert | None:
    """Converts a coerced value that is not null to a value of `type_`; None if no conversion is needed."""
    if isinstance(type_, StrawberryOptional):
        return converter(type_.of_type, config)
    if isinstance(type_, StrawberryList):
        inner = converter(type_.of_type, config)
        if inner is None:
            # A copy: graphql-core gives the same default object to every caller.
            return list
        return lambda values: [None if value is None else inner(value) for value in values]
    return _Plan(type_, config) if has_object_definition(type_) else None


def _definition(input_type: Any) -> StrawberryObjectDefinition:
    definition: StrawberryObjectDefinition = input_type.__strawberry_definition__
    return definition
