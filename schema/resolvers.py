"""Calls resolvers by a plan that is made once for each field.

Strawberry computes the name and the type of every argument again for every call, and calls a resolver through six
functions: half of the time of `saga(correlationId, waitSeconds)` without its read. Here a field's plan has the names
and the converters of its arguments, and a field without a resolver is an attribute.
"""

from __future__ import annotations

from typing import Any

import strawberry
from graphql import GraphQLFieldResolver, GraphQLObjectType
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from schema.variables import converter

__all__ = ["call_by_plan"]


def call_by_plan(schema: strawberry.Schema) -> None:
    """Replace Strawberry's resolvers, but for subscriptions and for fields that need more than Info and arguments."""
    for type_ in schema._schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType):
            continue
        for field in type_.fields.values():
            declared = field.extensions.get("strawberry-definition")
            if isinstance(declared, StrawberryField) and field.subscribe is None and not declared.extensions:
                field.resolve = _planned(declared, schema.config) or field.resolve


def _planned(field: StrawberryField, config: StrawberryConfig) -> GraphQLFieldResolver | None:
    resolver = field.base_resolver
    if resolver is None:
        attribute = field.python_name
        return lambda source, info: getattr(source, attribute)
    if resolver.parent_parameter or resolver.root_parameter or not resolver.self_parameter:
        return None
    call: Any = resolver.wrapped_func
    arguments = {
        config.name_converter.from_argument(each): (each.python_name, converter(each.type, config))
        for each in field.arguments
    }
    named_info = resolver.info_parameter.name if resolver.info_parameter else None

    def resolve(source: Any, info: Any, **given: Any) -> Any:
        named = {}
        for name, value in given.items():
            python_name, convert = arguments[name]
            named[python_name] = value if convert is None or value is None else convert(value)
        if named_info is not None:
            named[named_info] = config.info_class(_raw_info=info, _field=field)
        return call(source, **named)

    return resolve
