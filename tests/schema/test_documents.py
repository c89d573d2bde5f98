"""Which documents are kept between operations: short ones, as many as the bound, the least used dropped first."""

from __future__ import annotations

import pytest

from schema.documents import CHARACTERS_KEPT_MAX, DOCUMENTS_KEPT_MAX, Document, Documents, Limits
from schema.root import create_schema

SCHEMA = create_schema()._schema


@pytest.fixture
def documents() -> Documents:
    return Documents(SCHEMA, Limits())


def document(documents: Documents, text: str) -> Document:
    found = documents(text)
    assert isinstance(found, Document), found
    return found


def is_kept(documents: Documents, text: str) -> bool:
    return document(documents, text) is document(documents, text)


def test_a_document_is_kept_up_to_the_longest_and_no_longer(documents: Documents) -> None:
    longest = "{ __typename }".ljust(CHARACTERS_KEPT_MAX)
    assert is_kept(documents, longest)
    assert not is_kept(documents, longest + " ")


def test_an_invalid_document_is_not_kept(documents: Documents) -> None:
    assert documents("{ nothing }") is not documents("{ nothing }")


def test_beyond_the_bound_the_document_that_was_used_longest_ago_is_dropped(documents: Documents) -> None:
    texts = [f"query Q{number} {{ __typename }}" for number in range(DOCUMENTS_KEPT_MAX + 1)]
    kept = {text: document(documents, text) for text in texts[:-1]}
    assert document(documents, texts[0]) is kept[texts[0]], "all fit"
    document(documents, texts[-1])
    assert document(documents, texts[0]) is kept[texts[0]], "it was used since"
    assert document(documents, texts[2]) is kept[texts[2]]
    assert document(documents, texts[1]) is not kept[texts[1]]
