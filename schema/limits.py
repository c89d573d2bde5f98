"""What one document may ask for: how deep, under how many names, and how many objects it may bring at most.

All of it is known before anything is read, from the document and its variables alone. Each
fragment is measured once, however often it is spread, so that measuring takes no longer than
the document is long::

    depth, aliases   of the document: refused before it is validated
    cost             of the operation with its variables: every object that the answer may hold counts 1

An object under a list counts as often as the list may be long: `first`, or what LIST_SIZES says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_wrapping_type,
)

from domain.bookings import PASSENGERS_MAX, SEGMENTS_MAX
from domain.seats import SEATS

__all__ = ["LIST_SIZES", "Bound", "Limits", "Shape", "bound_of", "root_fields_of", "shape_of"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may ask for."""

    depth_max: int = 15
    aliases_max: int = 30
    tokens_max: int = 2_000
    cost_max: int = 20_000
    characters_max: int = 65_536
    values_max: int = 2_000


#: How long each list of objects may be that has no `first`; a connection's edges are counted by its `first`.
LIST_SIZES: Final[Mapping[tuple[str, str], int]] = {
    ("Query", "airports"): 100,
    ("TripSearchResult", "outbound"): 100,
    ("TripSearchResult", "inbound"): 100,
    ("Flight", "fares"): 3,
    ("Flight", "seats"): SEATS,
    ("Saga", "steps"): 4,
    ("Saga", "flights"): SEGMENTS_MAX,
    ("Saga", "passengers"): PASSENGERS_MAX,
    ("Saga", "reservations"): SEGMENTS_MAX * PASSENGERS_MAX,
    ("Booking", "passengers"): PASSENGERS_MAX,
    ("Booking", "segments"): SEGMENTS_MAX,
    ("BookingSegment", "seats"): PASSENGERS_MAX,
    ("SagaStatistics", "byStatus"): 7,
    ("SagaStatistics", "failedAt"): 10,
    ("SagaStatistics", "buckets"): 300,
    ("BookFlightPayload", "errors"): 20,
    ("CancelSagaPayload", "errors"): 1,
    ("CancelBookingPayload", "errors"): 10,
    ("RetrySagaPayload", "errors"): 1,
    ("SkipStepPayload", "errors"): 1,
    ("Subscription", "seatChanges"): SEATS,
}
_FIRST: Final = "first"
#: What is asked for beyond the longest page is refused where it is read.
_FIRST_MAX: Final = 1_000
_Variables = Mapping[str, Any]


# ---------------------------------------------------------------------- shape


@dataclass(frozen=True, slots=True)
class Shape:
    """How deep a document nests, and how many fields it gives another name, fragments counted where they are spread."""

    depth: int
    aliases: int


def shape_of(document: DocumentNode) -> Shape:
    """The shape of a parsed document, valid or not. Raises RecursionError where it nests beyond all bounds."""
    shapes = _Shapes(document)
    found = [
        shapes.of(definition.selection_set)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    return Shape(max((each.depth for each in found), default=0), max((each.aliases for each in found), default=0))


class _Shapes:
    """Shapes of selection sets, each fragment's worked out once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._known: dict[str, Shape] = {}

    def of(self, selections: SelectionSetNode | None) -> Shape:
        if selections is None:
            return Shape(0, 0)
        depth = aliases = 0
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    inner = self.of(selection.selection_set)
                    depth = max(depth, inner.depth + (1 if selection.selection_set else 0))
                    aliases += inner.aliases + (1 if selection.alias else 0)
                case InlineFragmentNode():
                    inner = self.of(selection.selection_set)
                    depth, aliases = max(depth, inner.depth), aliases + inner.aliases
                case FragmentSpreadNode():
                    inner = self._of_fragment(selection.name.value)
                    depth, aliases = max(depth, inner.depth), aliases + inner.aliases
        return Shape(depth, aliases)

    def _of_fragment(self, name: str) -> Shape:
        if name not in self._known:
            # For one that spreads itself, or that there is not: validation will tell.
            self._known[name] = Shape(0, 0)
            if name in self._fragments:
                self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]


# ---------------------------------------------------------------------- root fields


def root_fields_of(document: DocumentNode, operation: OperationDefinitionNode) -> int:
    """How many fields of the root the operation may execute: each name that the answer may have, besides __typename."""
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    names: set[str] = set()
    spread: set[str] = set()
    waiting = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            match selection:
                case FieldNode() if selection.name.value != "__typename":
                    names.add((selection.alias or selection.name).value)
                case InlineFragmentNode():
                    waiting.append(selection.selection_set)
                case FragmentSpreadNode() if selection.name.value not in spread:
                    spread.add(selection.name.value)
                    waiting.append(fragments[selection.name.value].selection_set)
    return len(names)


# ---------------------------------------------------------------------- cost


@dataclass(slots=True)
class Bound:
    """An upper bound of how many objects an answer holds: a number, and terms that depend on variables."""

    objects: int = 0
    terms: list[tuple[Callable[[_Variables], int], Bound]] = field(default_factory=list)

    def of(self, variables: _Variables) -> int:
        """The bound for these variables."""
        return self._of(variables, {}) if self.terms else self.objects

    def _of(self, variables: _Variables, known: dict[int, int]) -> int:
        if id(self) not in known:
            known[id(self)] = self.objects + sum(
                size(variables) * inner._of(variables, known) for size, inner in self.terms
            )
        return known[id(self)]


def bound_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Bound:
    """The bound of one operation of a valid document."""
    root = schema.get_root_type(operation.operation)
    bounds = _Bounds(schema, document, operation)
    return bounds.of(operation.selection_set, root) if root is not None else Bound()


class _Bounds:
    """Bounds of selection sets, each fragment's worked out once."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._defaults = {
            variable.variable.name.value: variable.default_value for variable in operation.variable_definitions or ()
        }
        self._known: dict[str, Bound] = {}

    def of(self, selections: SelectionSetNode, parent: GraphQLCompositeType) -> Bound:
        bound = Bound()
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    self._add_field(bound, selection, parent)
                case InlineFragmentNode():
                    named = selection.type_condition
                    inner = self._schema.get_type(named.name.value) if named else parent
                    if is_composite_type(inner):
                        _add(bound, 1, self.of(selection.selection_set, inner))
                case FragmentSpreadNode():
                    _add(bound, 1, self._of_fragment(selection.name.value))
        return bound

    def _of_fragment(self, name: str) -> Bound:
        if name not in self._known:
            fragment = self._fragments[name]
            inner = self._schema.get_type(fragment.type_condition.name.value)
            self._known[name] = self.of(fragment.selection_set, inner) if is_composite_type(inner) else Bound()
        return self._known[name]

    def _add_field(self, bound: Bound, node: FieldNode, parent: GraphQLCompositeType) -> None:
        if node.selection_set is None or not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return
        definition = parent.fields.get(node.name.value)
        if definition is None:
            # Introspection: as large as the schema, whatever is asked of it.
            return
        returned = get_named_type(definition.type)
        if not is_composite_type(returned):
            return
        inner = self.of(node.selection_set, returned)
        inner.objects += 1
        _add(bound, self._size(node, parent, definition), inner)

    def _size(
        self, node: FieldNode, parent: GraphQLCompositeType, definition: GraphQLField
    ) -> int | Callable[[_Variables], int]:
        if _FIRST not in definition.args:
            return LIST_SIZES.get((parent.name, node.name.value), 1) if _is_list(definition) else 1
        default = definition.args[_FIRST].default_value
        otherwise = default if isinstance(default, int) else _FIRST_MAX
        given = next((argument.value for argument in node.arguments or () if argument.name.value == _FIRST), None)
        match given:
            case IntValueNode():
                return _clamped(int(given.value))
            case VariableNode():
                name = given.name.value
                preset = self._defaults.get(name)
                absent = int(preset.value) if isinstance(preset, IntValueNode) else otherwise
                return lambda variables: _clamped(variables.get(name, absent))
            case _:
                return _clamped(otherwise)


def _add(bound: Bound, size: int | Callable[[_Variables], int], inner: Bound) -> None:
    """Count `inner` as often as `size` says."""
    if callable(size):
        bound.terms.append((size, inner))
    elif not inner.terms:
        bound.objects += size * inner.objects
    else:
        bound.terms.append((lambda variables: size, inner))


def _clamped(first: object) -> int:
    return min(max(first, 1), _FIRST_MAX) if isinstance(first, int) else 1


def _is_list(definition: GraphQLField) -> bool:
    type_: Any = definition.type
    while is_wrapping_type(type_):
        if isinstance(type_, GraphQLList):
            return True
        type_ = type_.of_type
    return False
