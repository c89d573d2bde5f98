"""Documents as they come in: parsed, bounded and validated once each, and kept."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    KnownTypeNamesRule,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    parse,
    specified_rules,
    validate,
)

from schema.errors import bad_input, invalid_document, limit_of_document, unparsable_document
from schema.limits import Bound, Limits, RootFields, Sizes, bound_of, root_fields_of, shape_of

__all__ = ["Document", "Documents", "InvalidDocument"]

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
