"""Reads the documents of SEATSAGA_TRUSTED_DOCUMENTS, and those of seatsaga itself: the console's and the commands'.

::

    *.graphql, *.gql    documents as developers write them; a fragment may stand in another file of the folder
    *.json              a manifest: {"format": "apollo-persisted-query-manifest", "operations": [{id, body}, ...]},
                        or a map from ids to texts, as graphql-codegen's client preset and relay-compiler write it

The setting names one file, or a folder with any number of them in it and below it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

from app.http.console import STATIC
from domain.errors import ConfigurationError
from schema.documents import Documents
from schema.trusted import NamedDocument, TrustedDocuments, UnfitDocument, trusted

__all__ = ["trusted_documents"]

_SETTING: Final = "SEATSAGA_TRUSTED_DOCUMENTS"
_DOCUMENTS: Final = (".graphql", ".gql")
_MANIFESTS: Final = (".json",)
#: Written by the console's build.
_OF_CONSOLE: Final = "trusted-documents.json"
#: Imported here only: they import this package's main module.
_COMMANDS: Final = "app.commands"
#: More are counted.
SHOWN_MAX: Final = 20


class _Operation(msgspec.Struct):
    id: str
    body: str


class _ApolloManifest(msgspec.Struct):
    operations: list[_Operation]


def trusted_documents(path: Path, check: Documents) -> TrustedDocuments:
    """The documents at `path`, and seatsaga's own.

    Raises ConfigurationError. It names each document that cannot be run, by its file, with the reason.
    """
    given, unfit = _read(path)
    found, invalid = trusted([*given, *_own()], check)
    unfit = sorted(set(unfit + invalid), key=lambda each: each.place)
    if unfit:
        lines = [f"{each.place}: {each.reason}" for each in unfit[:SHOWN_MAX]]
        if len(unfit) > SHOWN_MAX:
            lines.append(f"and {len(unfit) - SHOWN_MAX} more.")
        raise ConfigurationError("\n  ".join([f"{_SETTING}={path}: not all of these documents can be run:", *lines]))
    if not given:
        raise ConfigurationError(f"{_SETTING}={path}: there is no document in it; a folder of .graphql or .json files.")
    return found


# ---------------------------------------------------------------------- given


def _read(path: Path) -> tuple[list[NamedDocument], list[UnfitDocument]]:
    kinds = _DOCUMENTS + _MANIFESTS
    files = sorted(file for file in path.rglob("*") if file.suffix in kinds) if path.is_dir() else [path]
    found: list[NamedDocument] = []
    unfit: list[UnfitDocument] = []
    written: list[tuple[Path, DocumentNode]] = []
    for file in files:
        try:
            text = file.read_text("utf-8")
            if file.suffix in _MANIFESTS:
                found += _of_manifest(file, text)
            else:
                written.append((file, parse(text)))
                found += _whole(file, text, written[-1][1])
        except OSError as error:
            unfit.append(UnfitDocument(str(file), f"it cannot be read ({error.strerror})."))
        except UnicodeDecodeError:
            unfit.append(UnfitDocument(str(file), "it is not text in UTF-8."))
        except GraphQLError as error:
            (place,) = error.locations or (None,)
            where = f"line {place.line}: " if place else ""
            unfit.append(UnfitDocument(str(file), f"{where}{error.message}"))
        except (msgspec.DecodeError, RecursionError):
            reason = "it is neither Apollo's manifest of persisted queries nor a map from ids to documents."
            unfit.append(UnfitDocument(str(file), reason))
    operations, doubled = _operations(written)
    return found + operations, unfit + doubled


def _of_manifest(file: Path, text: str) -> Iterator[NamedDocument]:
    decoded = msgspec.json.decode(text)
    if isinstance(decoded, dict) and "operations" in decoded:
        operations = [(each.id, each.body) for each in msgspec.convert(decoded, _ApolloManifest).operations]
    else:
        operations = list(msgspec.convert(decoded, dict[str, str]).items())
    for document_id, body in operations:
        yield NamedDocument(f"{file}, {document_id}", body, document_id)


def _whole(file: Path, text: str, node: DocumentNode) -> Iterator[NamedDocument]:
    """The file's own text, if it can be sent as it stands: it has one operation, and the fragments of it."""
    fragments = {each.name.value for each in node.definitions if isinstance(each, FragmentDefinitionNode)}
    operations = [each for each in node.definitions if isinstance(each, OperationDefinitionNode)]
    if len(operations) == 1 and _spread(node) == fragments:
        yield NamedDocument(_place(file, operations[0]), text)


def _operations(written: Iterable[tuple[Path, DocumentNode]]) -> tuple[list[NamedDocument], list[UnfitDocument]]:
    """Each operation with the fragments that it needs, as clients send it."""
    fragments: dict[str, tuple[Path, FragmentDefinitionNode]] = {}
    operations: list[tuple[Path, OperationDefinitionNode]] = []
    unfit: list[UnfitDocument] = []
    for file, node in written:
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                operations.append((file, definition))
            elif isinstance(definition, FragmentDefinitionNode):
                name = definition.name.value
                other, same = fragments.setdefault(name, (file, definition))
                if print_ast(same) != print_ast(definition):
                    unfit.append(UnfitDocument(str(file), f"the fragment {name} is another one in {other}."))
            else:
                unfit.append(UnfitDocument(str(file), "it defines types; only operations and fragments can be run."))
    found = []
    for file, operation in operations:
        needed: dict[str, None] = dict.fromkeys(sorted(_spread(operation)))
        for name in (waiting := list(needed)):
            if name in fragments:
                new = [each for each in sorted(_spread(fragments[name][1])) if each not in needed]
                needed |= dict.fromkeys(new)
                waiting += new
        parts: list[Node] = [operation, *(fragments[name][1] for name in needed if name in fragments)]
        found.append(NamedDocument(_place(file, operation), "\n\n".join(map(print_ast, parts))))
    return found, unfit


def _place(file: Path, operation: OperationDefinitionNode) -> str:
    return f"{file}, {operation.name.value}" if operation.name else str(file)


def _spread(node: Node) -> set[str]:
    """The names of the fragments that are spread in it."""
    found: set[str] = set()

    class _Spreads(Visitor):
        def enter_fragment_spread(self, spread: FragmentSpreadNode, *_: Any) -> None:
            found.add(spread.name.value)

    visit(node, _Spreads())
    return found


# ---------------------------------------------------------------------- our own


def _own() -> Iterator[NamedDocument]:
    console = STATIC / _OF_CONSOLE
    if console.is_file():
        yield from _of_manifest(console, console.read_text("utf-8"))
    for name, text in _constants("app.client", *_modules()):
        yield NamedDocument(name, text)


def _modules() -> Iterator[str]:
    for module in pkgutil.iter_modules(importlib.import_module(_COMMANDS).__path__):
        yield f"{_COMMANDS}.{module.name}"


def _constants(*modules: str) -> Iterator[tuple[str, str]]:
    """The constants of these modules that are documents, or lists of them: the commands keep theirs so."""
    for module in modules:
        for name, value in vars(importlib.import_module(module)).items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and "{" in text and _is_operation(text):
                    yield f"{module}.{name}", text


def _is_operation(text: str) -> bool:
    try:
        return isinstance(parse(text).definitions[0], OperationDefinitionNode)
    except GraphQLError:
        return False
