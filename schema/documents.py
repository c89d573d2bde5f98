"""Documents: each is parsed, checked against the limits and validated once, then cached.

Before validation, its characters, tokens, depth and aliases are limited; afterwards the cost of its operations
(see `cost`).

Strawberry's QueryDepthLimiter and MaxAliasesLimiter are validation rules, so they would run together with the slow
rules; and they walk a fragment as often as it is spread.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphql import (
    ArgumentNode,
    ASTValidationRule,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    KnownTypeNamesRule,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    SelectionNode,
    SelectionSetNode,
    ValidationContext,
    Visitor,
    parse,
    print_ast,
    specified_rules,
    strip_ignored_characters,
    validate,
    visit,
)

from schema.arguments import CheckedField, fields_to_check
from schema.cost import Bound, Sizes, bound_of
from schema.errors import bad_input, invalid_document, limit_of_document, unparsable_document, untrusted_document
from schema.variables import Coercion, Readers

__all__ = [
    "ERRORS_MAX",
    "PUBLIC_SECONDS",
    "Document",
    "Documents",
    "InvalidDocument",
    "Limits",
    "RootFields",
    "form_of",
]

DOCUMENTS_KEPT_MAX: Final = 512
#: A longer text is not cached, so that the cache stays within some megabytes.
CHARACTERS_KEPT_MAX: Final = 16_384
#: Each error includes suggestions and its location, and both take time.
ERRORS_MAX: Final = 5
#: The number of pairs of fields with one name that are compared, to see whether they can be merged.
COMPARISONS_MAX: Final = 10_000
#: The root fields that every caller gets the same answer of, and for how many seconds it may be shown again: seats are
#: sold meanwhile, airports and definitions hardly change.
PUBLIC_SECONDS: Final[Mapping[str, int]] = {
    "airports": 60,
    "sagaDefinitions": 60,
    "flight": 5,
    "flights": 5,
    "searchTrips": 5,
}
#: A null character, literal or escaped.
_NULL: Final = re.compile(r"\x00|\\u0000|\\u\{0+\}")
#: The beginnings of graphql-core's messages; the caller's text comes only later in them.
_TOO_DEEP: Final = "Syntax Error: Document is nested too deeply"
_NOT_COMPARED: Final = "Validation aborted."
_TOO_MANY_TOKENS: Final = "Syntax Error: Document contains more than"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one document."""

    depth_max: int = 15
    aliases_max: int = 30
    tokens_max: int = 2_000
    cost_max: int = 250_000
    characters_max: int = 65_536
    values_max: int = 2_000
    answer_bytes_max: int = 4 * 1_048_576


class _FieldsCanBeMerged(OverlappingFieldsCanBeMergedRule):
    """Compares pairs of fields with one name, up to a limit that no hand-written document reaches."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = COMPARISONS_MAX


class _KnownTypeNames(KnownTypeNamesRule):
    """Makes suggestions only for the first unknown type, as each is compared with the names of all types."""

    def report_error(self, error: GraphQLError) -> None:
        """As the parent class, but later errors without suggestions."""
        super().report_error(error)
        self.type_names = []


_BOUNDED: Final[Mapping[type[ASTValidationRule], type[ASTValidationRule]]] = {
    OverlappingFieldsCanBeMergedRule: _FieldsCanBeMerged,
    KnownTypeNamesRule: _KnownTypeNames,
}


@dataclass(frozen=True, slots=True)
class RootFields:
    """The number of root fields that an operation may execute, how many of these are introspection, and their names.

    `public_seconds`: for how long anybody may be shown the answer of this query; None if it may depend on the caller.
    """

    executed: int
    introspecting: int
    names: frozenset[str]
    public_seconds: int | None = None


@dataclass(slots=True)
class Document:
    """A valid document, with its fragments. By operation's name (None: the only one): coercion of its variables, cost
    bound, root fields, arguments to check.
    """

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]
    coercions: dict[str | None, Coercion] = field(default_factory=dict)
    bounds: dict[str | None, Bound] = field(default_factory=dict)
    root_fields: dict[str | None, RootFields] = field(default_factory=dict)
    to_check: dict[str | None, tuple[CheckedField, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvalidDocument:
    """Why a document cannot be executed."""

    errors: tuple[GraphQLError, ...]


class Documents:
    """A cache of documents. A document that is not cached is parsed, checked and validated.

    `trusted`: the forms of the only documents that may run; None: all may.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: Limits,
        *,
        introspection: bool = True,
        trusted: Collection[str] | None = None,
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._sizes = Sizes(schema)
        self._introspection = introspection
        self._trusted = trusted
        self._rules = [_BOUNDED.get(rule, rule) for rule in specified_rules]
        if not introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
        self._readers: Readers = {}
        self._kept: OrderedDict[str, Document] = OrderedDict()

    def __call__(self, text: str) -> Document | InvalidDocument:
        """The document that `text` is."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        document = self._work_through(text)
        if isinstance(document, Document) and len(text) <= CHARACTERS_KEPT_MAX:
            self._kept[text] = document
            if len(self._kept) > DOCUMENTS_KEPT_MAX:
                self._kept.popitem(last=False)
        return document

    def __contains__(self, text: str) -> bool:
        """Whether `text` is cached, so that it takes no time."""
        return text in self._kept

    def _work_through(self, text: str) -> Document | InvalidDocument:
        """Run the cheap checks first, so that a document that is too large is refused before the slow validation."""
        if len(text) > self._limits.characters_max:
            return InvalidDocument((limit_of_document("characters", self._limits.characters_max),))
        if _NULL.search(text):
            return InvalidDocument((bad_input("Text must not hold a null character."),))
        node = self._parse(text)
        if not isinstance(node, DocumentNode):
            return InvalidDocument((node,))
        error = self._bounded(node)
        if error is not None:
            return InvalidDocument((error,))
        if self._trusted is not None and form_of(node) not in self._trusted:
            return InvalidDocument((untrusted_document(),))
        errors = validate(
            self._schema, node, self._rules, max_errors=ERRORS_MAX, hide_suggestions=not self._introspection
        )
        if errors and errors[-1].message == _NOT_COMPARED:
            errors[-1] = limit_of_document("comparisons of fields that share a name", COMPARISONS_MAX)
        if errors:
            return InvalidDocument(tuple(invalid_document(error) for error in errors))
        operations = {
            definition.name.value if definition.name else None: definition
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }
        bounds = {name: bound_of(self._schema, self._sizes, node, operation) for name, operation in operations.items()}
        roots = {name: root_fields_of(node, operation) for name, operation in operations.items()}
        # A field alone takes nothing along.
        checks = {
            name: fields_to_check(self._schema, node, operation) if roots[name].executed > 1 else ()
            for name, operation in operations.items()
        }
        coercions = {name: Coercion(self._schema, operation, self._readers) for name, operation in operations.items()}
        if len(operations) == 1:
            (name,) = operations
            operations[None], bounds[None], roots[None] = operations[name], bounds[name], roots[name]
            checks[None], coercions[None] = checks[name], coercions[name]
        return Document(node, operations, _fragments_of(node), coercions, bounds, roots, checks)

    def _parse(self, text: str) -> DocumentNode | GraphQLError:
        try:
            return parse(text, max_lexical_tokens=self._limits.tokens_max)
        except GraphQLError as error:
            if error.message.startswith(_TOO_MANY_TOKENS):
                return limit_of_document("tokens", self._limits.tokens_max)
            if error.message.startswith(_TOO_DEEP):
                return limit_of_document("levels", self._limits.depth_max)
            return unparsable_document(error)
        except RecursionError:
            return limit_of_document("levels", self._limits.depth_max)

    def _bounded(self, node: DocumentNode) -> GraphQLError | None:
        try:
            shape = shape_of(node)
        except RecursionError:
            return limit_of_document("levels", self._limits.depth_max)
        if shape.depth > self._limits.depth_max:
            return limit_of_document("levels", self._limits.depth_max)
        if shape.aliases > self._limits.aliases_max:
            return limit_of_document("aliases", self._limits.aliases_max)
        return None


# ---------------------------------------------------------------------- forms


def form_of(document: DocumentNode) -> str:
    """The document without what clients and their tools change: spaces, comments, added `__typename`s, and the order.

    Only the order of mutations is kept, as they run one after the other.
    """
    definitions = (visit(definition, _Sorted()) for definition in document.definitions)
    return "\n".join(sorted(strip_ignored_characters(print_ast(definition)) for definition in definitions))


class _Sorted(Visitor):
    """Sorts selections, arguments and variables. Removes each plain `__typename` beside other selections."""

    def leave_selection_set(self, node: SelectionSetNode, _key: Any, parent: Any, *_: Any) -> SelectionSetNode:
        kept = [selection for selection in node.selections if not _is_typename(selection)] or node.selections
        is_in_order = isinstance(parent, OperationDefinitionNode) and parent.operation is OperationType.MUTATION
        return SelectionSetNode(selections=tuple(kept if is_in_order else sorted(kept, key=print_ast)))

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode:
        return replace(node, arguments=_by_name(node.arguments))

    def leave_directive(self, node: DirectiveNode, *_: Any) -> DirectiveNode:
        return replace(node, arguments=_by_name(node.arguments))

    def leave_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> OperationDefinitionNode:
        variables = node.variable_definitions or ()
        by_name = tuple(sorted(variables, key=lambda definition: definition.variable.name.value))
        return replace(node, variable_definitions=by_name)


def _by_name(arguments: Sequence[ArgumentNode] | None) -> tuple[ArgumentNode, ...]:
    return tuple(sorted(arguments or (), key=lambda argument: argument.name.value))


def _is_typename(selection: SelectionNode) -> bool:
    return (
        isinstance(selection, FieldNode)
        and selection.name.value == "__typename"
        and selection.alias is None
        and not selection.directives
    )


# ---------------------------------------------------------------------- shapes


@dataclass(frozen=True, slots=True)
class Shape:
    """The depth of a document, and its number of aliases. A fragment counts at each place where it is spread."""

    depth: int
    aliases: int


def shape_of(document: DocumentNode) -> Shape:
    """The shape of a parsed document, valid or not. Raises RecursionError if its nesting is extremely deep."""
    shapes = _Shapes(document)
    found = [
        shapes.of(definition.selection_set)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    return Shape(max((each.depth for each in found), default=0), max((each.aliases for each in found), default=0))


class _Shapes:
    """Shapes of selection sets. Each fragment's shape is computed once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = _fragments_of(document)
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
            # For a fragment that spreads itself or does not exist: validation reports it.
            self._known[name] = Shape(0, 0)
            if name in self._fragments:
                self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]


def root_fields_of(document: DocumentNode, operation: OperationDefinitionNode) -> RootFields:
    """Counts each response name of the root, except __typename."""
    fragments = _fragments_of(document)
    names: dict[str, str] = {}
    spread: set[str] = set()
    waiting = [operation.selection_set]
    while waiting:
        for selection in waiting.pop().selections:
            match selection:
                case FieldNode() if selection.name.value != "__typename":
                    names[(selection.alias or selection.name).value] = selection.name.value
                case InlineFragmentNode():
                    waiting.append(selection.selection_set)
                case FragmentSpreadNode() if selection.name.value not in spread:
                    spread.add(selection.name.value)
                    waiting.append(fragments[selection.name.value].selection_set)
    seconds = [PUBLIC_SECONDS.get(name) for name in names.values()]
    return RootFields(
        len(names),
        sum(name.startswith("__") for name in names.values()),
        frozenset(names.values()),
        None
        if operation.operation is not OperationType.QUERY or None in seconds
        else min(filter(None, seconds), default=None),
    )


def _fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
