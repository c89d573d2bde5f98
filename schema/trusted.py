"""Trusted documents: with SEATSAGA_PERSISTED_QUERIES=only the server runs these and no others.

A request names one by its id, or sends its text. A text is compared by its form (see `form_of`), because clients add
`__typename`, print documents anew and order fragments as they like; none of this asks for anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphql import parse

from schema.documents import Documents, InvalidDocument, form_of
from schema.persisted import hash_of, plain_id

__all__ = ["NamedDocument", "TrustedDocuments", "UnfitDocument", "trusted"]


@dataclass(frozen=True, slots=True)
class NamedDocument:
    """A document, with the place that it comes from, and the id that clients name it by if it is not the SHA-256."""

    place: str
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class UnfitDocument:
    """Why the document at this place cannot be trusted."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class TrustedDocuments:
    """The texts by id, and the forms of all of them."""

    by_id: Mapping[str, str]
    forms: frozenset[str]


def trusted(documents: Iterable[NamedDocument], check: Documents) -> tuple[TrustedDocuments, list[UnfitDocument]]:
    """The documents that `check` lets run; and those that it does not, or whose id is another document's."""
    by_id: dict[str, str] = {}
    forms: set[str] = set()
    unfit: list[UnfitDocument] = []
    for document in documents:
        checked = check(document.text)
        if isinstance(checked, InvalidDocument):
            unfit.append(UnfitDocument(document.place, " ".join(error.message for error in checked.errors)))
            continue
        forms.add(form_of(checked.node))
        by_id[hash_of(document.text)] = document.text
        if document.id is not None:
            known = by_id.setdefault(plain_id(document.id), document.text)
            if form_of(parse(known)) != form_of(checked.node):
                unfit.append(UnfitDocument(document.place, "another document has the same id."))
    return TrustedDocuments(by_id, frozenset(forms)), unfit
