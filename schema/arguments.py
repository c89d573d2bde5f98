"""Checks the arguments of a query before it runs, if one wrong argument would take other root fields along.

The type of most root fields is not null: an error in one makes the whole `data` null, so the other root fields would be
computed for nothing. So if a query has several root fields, the arguments below those that cannot be null are checked
first. A wrong one refuses the query, with its path; nothing has run then::

    fields_to_check(document)   once for each document: the places, without indices of lists
    wrong_arguments(...)        for each request: coerces the arguments, and calls the field's own check, if it has one
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    get_argument_values,
    get_directive_values,
    get_named_type,
    is_composite_type,
    is_non_null_type,
    is_union_type,
)
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from schema.errors import unfit_value

__all__ = ["Check", "CheckedField", "checked", "fields_to_check", "wrong_arguments"]

_CHECK: Final = "check"
#: Of one document; further fields are checked when they run.
FIELDS_MAX: Final = 50
#: Raises BAD_USER_INPUT; gets the context of the operation, and the coerced arguments by their names in the API.
#: Strawberry would make its own objects of them, which takes ten times as long.
Check = Callable[[Any, Mapping[str, Any]], object]


def checked(check: Check) -> dict[str, Check]:
    """The `metadata` of a field whose arguments `check` can judge alone."""
    return {_CHECK: check}


@dataclass(frozen=True, slots=True)
class CheckedField:
    """A field at `path`; the selections on the way whose directives may leave it out."""

    path: tuple[str, ...]
    node: FieldNode
    definition: GraphQLField
    conditions: tuple[SelectionNode, ...]


def fields_to_check(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> tuple[CheckedField, ...]:
    """The fields with arguments below root fields that cannot be null, at most FIELDS_MAX; none of a mutation."""
    if operation.operation is not OperationType.QUERY or schema.query_type is None:
        return ()
    found: list[CheckedField] = []
    for each in _Walk(schema, document).below(operation.selection_set, schema.query_type, (), ()):
        found.append(each)
        if len(found) == FIELDS_MAX:
            break
    return tuple(found)


class _Walk:
    """Walks each fragment once, so that a document of fragments in fragments takes no longer than its text."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        definitions = document.definitions
        self._fragments = {each.name.value: each for each in definitions if isinstance(each, FragmentDefinitionNode)}

    def below(
        self, selections: SelectionSetNode, parent: Any, path: tuple[str, ...], conditions: tuple[SelectionNode, ...]
    ) -> Iterator[CheckedField]:
        for selection in selections.selections:
            met = (*conditions, selection) if selection.directives else conditions
            match selection:
                case FieldNode():
                    yield from self._of_field(selection, parent, path, met)
                case InlineFragmentNode():
                    condition = selection.type_condition
                    inner = parent if condition is None else self._schema.type_map[condition.name.value]
                    yield from self.below(selection.selection_set, inner, path, met)
                case FragmentSpreadNode():
                    fragment = self._fragments.pop(selection.name.value, None)
                    if fragment is not None:
                        inner = self._schema.type_map[fragment.type_condition.name.value]
                        yield from self.below(fragment.selection_set, inner, path, met)

    def _of_field(
        self, node: FieldNode, parent: Any, path: tuple[str, ...], conditions: tuple[SelectionNode, ...]
    ) -> Iterator[CheckedField]:
        definition = parent.fields.get(node.name.value) if not is_union_type(parent) else None
        if definition is None or (not path and not is_non_null_type(definition.type)):
            return
        place = (*path, (node.alias or node.name).value)
        if definition.args:
            yield CheckedField(place, node, definition, conditions)
        named = get_named_type(definition.type)
        if node.selection_set is not None and is_composite_type(named):
            yield from self.below(node.selection_set, named, place, conditions)


def wrong_arguments(
    fields: tuple[CheckedField, ...], variables: VariableValues, context: Any
) -> tuple[GraphQLError, ...]:
    """An error with its path for each of these fields that has a wrong argument."""
    errors = []
    for field in fields:
        try:
            if all(_is_included(node, variables) for node in field.conditions):
                _check(field, variables, context)
        except GraphQLError as error:
            told = error if error.extensions else unfit_value(error)
            nodes = error.nodes or [field.node]
            errors.append(GraphQLError(told.message, nodes, path=list(field.path), extensions=told.extensions))
    return tuple(errors)


def _check(field: CheckedField, variables: VariableValues, context: Any) -> None:
    given = get_argument_values(field.definition, field.node, variables)
    declared = (field.definition.extensions or {}).get("strawberry-definition")
    if isinstance(declared, StrawberryField) and (check := declared.metadata.get(_CHECK)) is not None:
        check(context, given)


def _is_included(node: SelectionNode, variables: VariableValues) -> bool:
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not (skip and skip["if"]) and not (include and not include["if"])
