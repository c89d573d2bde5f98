"""Documents as they come in: parsed, bounded and validated once each, and kept.

What bounds them: their characters and tokens, how deep they nest and how many fields they rename, all before they
are validated; then what their operations cost (see `cost`).

Strawberry's QueryDepthLimiter and MaxAliasesLimiter are rules of validation, so they would run beside the rules that
take long; and they walk a fragment as often as it is spread.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    ASTValidationRule,
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
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    ValidationContext,
    parse,
    specified_rules,
    validate,
)

from schema.cost import Bound, Sizes, bound_of
from schema.errors import bad_input, invalid_document, limit_of_document, unparsable_document

__all__ = ["ERRORS_MAX", "Document", "Documents", "InvalidDocument", "Limits", "RootFields"]

DOCUMENTS_KEPT_MAX: Final = 512
#: A longer text is worked through each time, so that what is kept stays within some megabytes.
CHARACTERS_KEPT_MAX: Final = 16_384
#: Each is told with what may be meant instead, and with its place: both take their time.
ERRORS_MAX: Final = 5
#: How many pairs of fields of one name are looked at, whether they may be one field in the answer.
COMPARISONS_MAX: Final = 10_000
#: As it is, or escaped within a literal.
_NULL: Final = re.compile(r"\x00|\\u0000|\\u\{0+\}")
#: How graphql-core says so; what a caller has written stands further on in its messages.
_TOO_DEEP: Final = "Syntax Error: Document is nested too deeply"
_NOT_COMPARED: Final = "Validation aborted."
_TOO_MANY_TOKENS: Final = "Syntax Error: Document contains more than"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may ask for."""

    depth_max: int = 15
    aliases_max: int = 30
    tokens_max: int = 2_000
    cost_max: int = 250_000
    characters_max: int = 65_536
    values_max: int = 2_000
    answer_bytes_max: int = 4 * 1_048_576


class _FieldsCanBeMerged(OverlappingFieldsCanBeMergedRule):
    """Compares every two fields of one name, but no more of them than a document needs that somebody has written."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = COMPARISONS_MAX


class _KnownTypeNames(KnownTypeNamesRule):
    """Says what may be meant instead of the first only: it is compared with the names of all types there are."""

    def report_error(self, error: GraphQLError) -> None:
        """As ever."""
        super().report_error(error)
        self.type_names = []


_BOUNDED: Final[Mapping[type[ASTValidationRule], type[ASTValidationRule]]] = {
    OverlappingFieldsCanBeMergedRule: _FieldsCanBeMerged,
    KnownTypeNamesRule: _KnownTypeNames,
}


@dataclass(frozen=True, slots=True)
class RootFields:
    """How many fields of the root an operation may execute, and how many of these ask for the schema itself."""

    executed: int
    introspecting: int


@dataclass(slots=True)
class Document:
    """A valid document; the bound and the root fields of each of its operations, by name; None is the only one's."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    bounds: dict[str | None, Bound] = field(default_factory=dict)
    root_fields: dict[str | None, RootFields] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvalidDocument:
    """Why a document cannot be executed."""

    errors: tuple[GraphQLError, ...]


class Documents:
    """Looks documents up, and works through those that it does not know."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, introspection: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._sizes = Sizes(schema)
        self._introspection = introspection
        self._rules = [_BOUNDED.get(rule, rule) for rule in specified_rules]
        if not introspection:
            self._rules.append(NoSchemaIntrospectionCustomRule)
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

    def _work_through(self, text: str) -> Document | InvalidDocument:
        """Cheap checks first: what is too large is refused before it is validated, which takes much longer."""
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
        if len(operations) == 1:
            (name,) = operations
            operations[None], bounds[None], roots[None] = operations[name], bounds[name], roots[name]
        return Document(node, operations, bounds, roots)

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


# ---------------------------------------------------------------------- what they hold


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
            # For one that spreads itself, or that there is not: validation will tell.
            self._known[name] = Shape(0, 0)
            if name in self._fragments:
                self._known[name] = self.of(self._fragments[name].selection_set)
        return self._known[name]


def root_fields_of(document: DocumentNode, operation: OperationDefinitionNode) -> RootFields:
    """Each name that the answer may have counts, besides __typename."""
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
    return RootFields(len(names), sum(name.startswith("__") for name in names.values()))


def _fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
