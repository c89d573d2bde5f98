"""Persisted documents: a client sends the hash of a document instead of its text.

::

    off         a request without a text is answered PersistedQueryNotSupported: clients send the text from then on
    automatic   {hash}         known: runs        not known: PersistedQueryNotFound, and the client sends both
                {hash, text}   the hash is checked, the text runs, and is kept for the next request
    only        as automatic, but only trusted documents run, by their id or by their text (see `trusted`)

This is Apollo's protocol, in `extensions.persistedQuery`; and `documentId` of GraphQL over HTTP. Both messages are the
words that clients look for. The store is of one process and may forget: a client that meets another replica sends the
text once more.

Sources: https://www.apollographql.com/docs/apollo-server/performance/apq,
https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from graphql import GraphQLError

from schema.errors import bad_input
from schema.execution import Rejected

__all__ = ["DOCUMENTS_BYTES_MAX", "DOCUMENTS_MAX", "NotPersisted", "PersistedDocuments", "hash_of", "plain_id"]

#: The limits of one process.
DOCUMENTS_MAX: Final = 1_000
DOCUMENTS_BYTES_MAX: Final = 8 * 1_048_576
_SHA256: Final = "sha256:"
_HASH_CHARACTERS: Final = 64


def hash_of(text: str) -> str:
    """The SHA-256 of a document's text, in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def plain_id(document_id: str) -> str:
    """A document's id without the prefix `sha256:`, so that both protocols name a hash alike."""
    return document_id.removeprefix(_SHA256)


class NotPersisted:
    """Keeps no documents: a request must have its text."""

    def text(self, text: str | None, document_id: str) -> str | Rejected:
        """The text, whatever its hash."""
        return text or Rejected((_error("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED"),))

    def keep(self, text: str) -> None:
        """Keep nothing."""


class PersistedDocuments:
    """The documents that clients may name by hash: those that are `trusted`, by id, and those that ran before.

    At most `documents_max` are kept of the latter, of `bytes_max` together; the longest unused are forgotten first.
    """

    def __init__(
        self,
        trusted: Mapping[str, str] | None = None,
        *,
        documents_max: int = DOCUMENTS_MAX,
        bytes_max: int = DOCUMENTS_BYTES_MAX,
    ) -> None:
        self._trusted = trusted or {}
        self._documents_max = documents_max
        self._bytes_max = bytes_max
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """The number of documents that are kept because they ran."""
        return len(self._kept)

    def text(self, text: str | None, document_id: str) -> str | Rejected:
        """The text of the request with this id; a rejection if it is not known, or if text and hash do not agree."""
        wanted = plain_id(document_id)
        if text:
            if len(wanted) == _HASH_CHARACTERS and wanted != hash_of(text) and self._trusted.get(wanted) != text:
                return Rejected((bad_input("The SHA-256 of `query` is not the one that was sent with it."),))
            return text
        known = self._trusted.get(wanted)
        if known is None:
            known = self._kept.get(wanted)
            if known is None:
                return Rejected((_error("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"),))
            self._kept.move_to_end(wanted)
        return known

    def keep(self, text: str) -> None:
        """Keep a document that has run."""
        wanted = hash_of(text)
        if wanted in self._trusted or wanted in self._kept:
            return
        self._kept[wanted] = text
        self._bytes += len(text.encode())
        while len(self._kept) > self._documents_max or self._bytes > self._bytes_max:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= len(forgotten.encode())


def _error(message: str, code: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code})
