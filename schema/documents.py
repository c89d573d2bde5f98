"""Documents as they come in: parsed, bounded and validated once each, and kept."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)

from schema.errors import bad_input, invalid_document, limit_of_document, unparsable_document
from schema.limits import Bound, Limits, bound_of, root_fields_of, shape_of

__all__ = ["Document", "Documents", "InvalidDocument"]

DOCUMENTS_KEPT_MAX: Final = 512
#: A longer text is worked through each time, so that what is kept stays within some megabytes.
CHARACTERS_KEPT_MAX: Final = 16_384
ERRORS_MAX: Final = 20
#: As it is, or escaped within a literal.
_NULL: Final = re.compile(r"\x00|\\u0000|\\u\{0+\}")
#: How graphql-core says so.
_TOO_DEEP: Final = re.compile(r"nested too deeply")
_TOO_MANY_TOKENS: Final = re.compile(r"more than \d+ .*tokens")


@dataclass(slots=True)
class Document:
    """A valid document; the bound and the root fields of each of its operations, by name; None is the only one's."""

    node: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    bounds: dict[str | None, Bound] = field(default_factory=dict)
    root_fields: dict[str | None, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvalidDocument:
    """Why a document cannot be executed."""

    errors: tuple[GraphQLError, ...]


class Documents:
    """Looks documents up, and works through those that it does not know."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, introspection: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._introspection = introspection
        self._rules = [*specified_rules, *([] if introspection else [NoSchemaIntrospectionCustomRule])]
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
        if errors:
            return InvalidDocument(tuple(invalid_document(error) for error in errors))
        operations = {
            definition.name.value if definition.name else None: definition
            for definition in node.definitions
            if isinstance(definition, OperationDefinitionNode)
        }
        bounds = {name: bound_of(self._schema, node, operation) for name, operation in operations.items()}
        roots = {name: root_fields_of(node, operation) for name, operation in operations.items()}
        if len(operations) == 1:
            (name,) = operations
            operations[None], bounds[None], roots[None] = operations[name], bounds[name], roots[name]
        return Document(node, operations, bounds, roots)

    def _parse(self, text: str) -> DocumentNode | GraphQLError:
        try:
            return parse(text, max_lexical_tokens=self._limits.tokens_max)
        except GraphQLError as error:
            if _TOO_MANY_TOKENS.search(error.message):
                return limit_of_document("tokens", self._limits.tokens_max)
            if _TOO_DEEP.search(error.message):
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


def holds_null(value: Any) -> bool:
    """Whether a null character stands anywhere in a variable's value: PostgreSQL takes it as no text."""
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(holds_null(item) for item in value.values())
        case list():
            return any(holds_null(item) for item in value)
        case _:
            return False
