"""Input objects, built by a plan that is made once for each type.

Strawberry works out the name and type of every field anew for every value that comes in: half
of what a mutation cost before its resolver. The types are the same each time, so the plan is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import InputContext
from strawberry.types.base import (
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    has_object_definition,
)

__all__ = ["by_plan"]

T = TypeVar("T")
_Convert = Callable[[Any], Any]


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
