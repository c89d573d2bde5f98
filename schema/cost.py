"""The maximum cost of an operation, in points; each point takes about the same time.

The cost is computed from the document and its variables only, before any read. Each fragment is
measured once, however often it is spread, so the time is linear in the length of the document.

A leaf of the answer costs one point, as does each item of a list of leaves; an object costs two. The
selection of a list is multiplied by the list's maximum length: `first` or `last`, or its entry in LIST_SIZES.
A field that reads costs more, by READS. `python -m bench --only cost` measures the time of a point
over documents of every shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLList,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_wrapping_type,
)
from strawberry.types.field import StrawberryField

from domain.bookings import PASSENGERS_MAX, SEGMENTS_MAX
from domain.events import CHANGES_SAGAS_MAX
from domain.seats import SEATS

__all__ = [
    "LIST_SIZES",
    "LOAD_POINTS",
    "OPERATION_POINTS",
    "ROOT_POINTS",
    "Bound",
    "Sizes",
    "bound_of",
]

#: The maximum length of each list without `first`. A connection's edges are counted by its `first`.
LIST_SIZES: Final[Mapping[tuple[str, str], int]] = {
    ("Query", "airports"): 100,
    ("Query", "incidents"): 50,
    ("Incident", "money"): 4,
    ("Query", "sagaDefinitions"): 6,
    ("SagaDefinition", "steps"): 6,
    ("SagaDefinition", "scenarios"): 12,
    ("TripSearchResult", "outbound"): 100,
    ("TripSearchResult", "inbound"): 100,
    ("Flight", "fares"): 3,
    ("Flight", "seats"): SEATS,
    ("Saga", "steps"): 4,
    ("Saga", "flights"): SEGMENTS_MAX,
    ("SeatFacts", "others"): SEGMENTS_MAX - 1,
    ("Saga", "passengers"): PASSENGERS_MAX,
    ("Saga", "reservations"): SEGMENTS_MAX * PASSENGERS_MAX,
    ("Booking", "passengers"): PASSENGERS_MAX,
    ("Booking", "segments"): SEGMENTS_MAX,
    ("BookingSegment", "seats"): PASSENGERS_MAX,
    ("SagaStatistics", "byStatus"): 7,
    ("SagaStatistics", "failedAt"): 10,
    ("SagaStatistics", "buckets"): 300,
    ("BookFlightPayload", "errors"): 20,
    ("PayForHoldPayload", "errors"): 1,
    ("ConfirmCardPayload", "errors"): 1,
    ("CancelSagaPayload", "errors"): 1,
    ("CancelBookingPayload", "errors"): 10,
    ("RetrySagaPayload", "errors"): 1,
    ("SkipStepPayload", "errors"): 1,
    ("SettleSagaPayload", "errors"): 1,
    ("PaymentProviderPayload", "errors"): 1,
    ("BulkAction", "byStatus"): 9,
    ("BulkAction", "passedOverBecause"): 20,
    ("StartBulkActionPayload", "errors"): 1,
    ("StopBulkActionPayload", "errors"): 1,
    ("Subscription", "seatChanges"): SEATS,
    ("Subscription", "sagaChanges"): CHANGES_SAGAS_MAX,
    ("Seat", "cabinClasses"): 2,
    **{
        (f"{name}Error", "facts"): 4
        for name in (
            "BookingNotCancellable",
            "BookingNotFound",
            "CorrelationIdReused",
            "FlightDeparted",
            "FlightNotFound",
            "HoldExpired",
            "InvalidInput",
            "MemberNotFound",
            "NothingToPay",
            "NothingToRetry",
            "NothingToSettle",
            "PaymentsUnavailable",
            "PriceChanged",
            "SagaNotFound",
            "SimulationDisabled",
            "TooLateToCancel",
            "TooManyHolds",
        )
    },
    ("UserError", "facts"): 4,
}
#: The maximum length of any other list of leaves: one of steps, or a path into an input.
LEAVES_MAX: Final = 4
#: The points of a leaf, and of an introspection object, which exists already.
LEAF_POINTS: Final = 1
OBJECT_POINTS: Final = 2
#: The points for the start of an operation.
OPERATION_POINTS: Final = 10
#: The additional points of a field that waits for a loader, which reads in batches.
LOAD_POINTS: Final = 20
#: The additional points of a root field, which has a transaction of its own.
ROOT_POINTS: Final = 150
#: The fields whose additional points differ.
READS: Final[Mapping[tuple[str, str], int]] = {
    ("Query", "flight"): LOAD_POINTS,
    ("Query", "node"): LOAD_POINTS,
    ("Query", "saga"): 40,
    ("Query", "loyaltyAccount"): LOAD_POINTS,
    ("Query", "booking"): 80,
    ("Query", "sagaStatistics"): 450,
    ("Query", "__type"): 60,
    ("LoyaltyAccount", "entries"): ROOT_POINTS,
    ("Saga", "events"): ROOT_POINTS,
    ("Query", "incidents"): 450,
    ("Incident", "sagasOf"): ROOT_POINTS,
    ("BulkAction", "byStatus"): 450,
    ("BulkAction", "passedOverBecause"): 450,
    ("Booking", "segments"): 200,
    # A page reads once more for the side that it was not read towards: one of the two.
    ("PageInfo", "hasNextPage"): 75,
    ("PageInfo", "hasPreviousPage"): 75,
    ("SagaEdge", "node"): LOAD_POINTS,
    **{
        (f"{of}Connection", "totalCount"): 300
        for of in ("Flight", "Saga", "Booking", "SeatReservation", "LoyaltyEntry")
    },
}
_ROOTS: Final = frozenset({"Query", "Mutation", "Subscription"})
_FIRST: Final = "first"
_LAST: Final = "last"
#: The longest page that is counted. The resolver refuses a larger `first` or `last`.
_LENGTH_MAX: Final = 1_000
_Variables = Mapping[str, Any]


# ---------------------------------------------------------------------- sizes


class Sizes:
    """The maximum lengths of lists, and the additional points of fields, for one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._introspected = _introspected(schema)
        #: The edges of connections: as many as their page has.
        self.edges = {(name, "edges") for name in schema.type_map if name.endswith("Connection")}

    def of(self, parent: str, name: str, definition: GraphQLField) -> float:
        """The maximum length of a list without `first`; 1 for a field that is not a list."""
        if parent.startswith("__"):
            return self._introspected.get((parent, name), 1)
        if not _is_list(definition):
            return 1
        return LIST_SIZES.get((parent, name), LEAVES_MAX)

    def reading(self, parent: str, name: str, definition: GraphQLField) -> int:
        """The additional points of a field, without its answer."""
        if (parent, name) in READS:
            return READS[parent, name]
        if parent in _ROOTS:
            return 0 if name.startswith("__") else ROOT_POINTS
        declared = definition.extensions.get("strawberry-definition")
        return LOAD_POINTS if isinstance(declared, StrawberryField) and declared.is_async else 0


def _introspected(schema: GraphQLSchema) -> dict[tuple[str, str], float]:
    """The average lengths of introspection lists, so that a query over all types is counted realistically."""
    types = list(schema.type_map.values())
    fields = [field for each in types if is_composite_type(each) for field in getattr(each, "fields", {}).values()]
    inputs = [field for each in types if is_input_object_type(each) for field in each.fields.values()]
    arguments = [argument for field in fields for argument in field.args.values()]
    typed = [*fields, *inputs, *arguments]
    wrappers = sum(_wrappers(each.type) for each in typed)
    return {
        ("__Schema", "types"): len(types),
        ("__Schema", "directives"): len(schema.directives),
        ("__Type", "fields"): len(fields) / len(types),
        ("__Type", "inputFields"): len(inputs) / len(types),
        ("__Type", "enumValues"): sum(len(each.values) for each in types if is_enum_type(each)) / len(types),
        ("__Type", "interfaces"): sum(len(getattr(each, "interfaces", ())) for each in types) / len(types),
        ("__Type", "possibleTypes"): sum(
            len(schema.get_possible_types(each)) for each in types if is_abstract_type(each)
        )
        / len(types),
        ("__Type", "ofType"): wrappers / (wrappers + len(typed)),
        ("__Field", "args"): len(arguments) / len(fields),
        ("__Directive", "locations"): 3,
    }


def _wrappers(type_: Any) -> int:
    found = 0
    while is_wrapping_type(type_):
        found, type_ = found + 1, type_.of_type
    return found


# ---------------------------------------------------------------------- cost


@dataclass(frozen=True, slots=True)
class _Given:
    """A size that a variable gives: the first of these that has a value; `otherwise` if none has.

    Each is a variable's name with its default, or a number.
    """

    sources: tuple[tuple[str, object] | int, ...]
    otherwise: int

    def __call__(self, variables: _Variables) -> float:
        for source in self.sources:
            found = source if isinstance(source, int) else variables.get(*source)
            # GraphQL takes 100.0 for an Int, and JSON has it as another type.
            if isinstance(found, int | float):
                return _clamped(found)
        return _clamped(self.otherwise)


_Size = float | _Given


@dataclass(slots=True)
class Bound:
    """An upper bound of an answer's points: a number, and terms that depend on variables."""

    points: float = 0
    terms: list[tuple[_Size, Bound]] = field(default_factory=list)

    def of(self, variables: _Variables) -> int:
        """The bound for these variables."""
        return math.ceil(self._of(variables, {}) if self.terms else self.points)

    def add(self, size: _Size, inner: Bound) -> None:
        """Add `inner` multiplied by `size`."""
        if isinstance(size, _Given) or inner.terms:
            self.terms.append((size, inner))
        else:
            self.points += size * inner.points

    def _of(self, variables: _Variables, known: dict[int, float]) -> float:
        if id(self) not in known:
            known[id(self)] = self.points + sum(
                (size(variables) if isinstance(size, _Given) else size) * inner._of(variables, known)
                for size, inner in self.terms
            )
        return known[id(self)]


def bound_of(schema: GraphQLSchema, sizes: Sizes, document: DocumentNode, operation: OperationDefinitionNode) -> Bound:
    """The bound of one operation of a valid document."""
    root = schema.get_root_type(operation.operation)
    bounds = _Bounds(schema, sizes, document, operation)
    bound = bounds.of(operation.selection_set, root) if root is not None else Bound()
    bound.points += OPERATION_POINTS
    return bound


class _Bounds:
    """Bounds of selection sets. A fragment's bound is computed once for each page length."""

    def __init__(
        self, schema: GraphQLSchema, sizes: Sizes, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._sizes = sizes
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self._defaults = {
            variable.variable.name.value: variable.default_value for variable in operation.variable_definitions or ()
        }
        self._known: dict[tuple[str, _Size], Bound] = {}

    def of(self, selections: SelectionSetNode, parent: GraphQLCompositeType, page: _Size = 1) -> Bound:
        """The bound of a selection on one `parent`; `page`: the number of edges, if it is a connection."""
        bound = Bound()
        for selection in selections.selections:
            match selection:
                case FieldNode():
                    self._add_field(bound, selection, parent, page)
                case InlineFragmentNode():
                    named = selection.type_condition
                    inner = self._schema.get_type(named.name.value) if named else parent
                    if is_composite_type(inner):
                        bound.add(1, self.of(selection.selection_set, inner, page))
                case FragmentSpreadNode():
                    bound.add(1, self._of_fragment(selection.name.value, page))
        return bound

    def _of_fragment(self, name: str, page: _Size) -> Bound:
        if (name, page) not in self._known:
            fragment = self._fragments[name]
            inner = self._schema.get_type(fragment.type_condition.name.value)
            bound = self.of(fragment.selection_set, inner, page) if is_composite_type(inner) else Bound()
            self._known[name, page] = bound
        return self._known[name, page]

    def _add_field(self, bound: Bound, node: FieldNode, parent: GraphQLCompositeType, page: _Size) -> None:
        name = node.name.value
        definition = self._schema.get_field(parent, name)
        if definition is None:
            return
        bound.points += self._sizes.reading(parent.name, name, definition)
        size = page if (parent.name, name) in self._sizes.edges else self._sizes.of(parent.name, name, definition)
        returned = get_named_type(definition.type)
        if node.selection_set is None or not is_composite_type(returned):
            bound.points += LEAF_POINTS
            if _is_list(definition):
                bound.add(size, Bound(LEAF_POINTS))
            return
        length = self._length(node, definition)
        if _is_list(definition):
            inner, size = self.of(node.selection_set, returned), size if length is None else length
        else:
            inner = self.of(node.selection_set, returned, 1 if length is None else length)
        inner.points += LEAF_POINTS if returned.name.startswith("__") else OBJECT_POINTS
        bound.add(size, inner)

    def _length(self, node: FieldNode, definition: GraphQLField) -> _Size | None:
        """The requested length of a list, by `first` or by `last`; None if it has neither argument."""
        if _FIRST not in definition.args:
            return None
        default = definition.args[_FIRST].default_value
        otherwise = default if isinstance(default, int) else _LENGTH_MAX
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sources: list[tuple[str, object] | int] = []
        for value in (given.get(_FIRST), given.get(_LAST)):
            match value:
                case IntValueNode():
                    sources.append(int(value.value))
                case VariableNode():
                    preset = self._defaults.get(value.name.value)
                    absent = int(preset.value) if isinstance(preset, IntValueNode) else None
                    sources.append((value.name.value, absent))
        if sources and not isinstance(sources[0], int):
            return _Given(tuple(sources), otherwise)
        return _clamped(sources[0] if sources else otherwise)


def _clamped(length: object) -> float:
    return min(max(length, 1), _LENGTH_MAX) if isinstance(length, int | float) else 1


def _is_list(definition: GraphQLField) -> bool:
    type_: Any = definition.type
    while is_wrapping_type(type_):
        if isinstance(type_, GraphQLList):
            return True
        type_ = type_.of_type
    return False
