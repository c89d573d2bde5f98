"""Starts operations for callers of all transports, each in a context of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from graphql import GraphQLError

from app.escaping import shortened
from app.http.operations import NAME_CHARACTERS_MAX, Operation
from app.http.rates import Admit
from app.http.request_id import RequestNote
from app.http.room import network_of
from app.http.subscribers import Subscribers
from schema.context import GUEST_FIELDS, Viewer
from schema.execution import Executable, Execution, Rejected
from schema.persisted import NotPersisted, PersistedDocuments

__all__ = ["ContextFactory", "OperationService"]


class ContextFactory(Protocol):
    """Makes the context of one operation; the operation's correlation IDs are added to `note`."""

    def __call__(self, viewer: Viewer, note: RequestNote, resume_after: int = 0) -> Any:
        """A new context for one operation, so that no loader serves a stale row.

        `resume_after`: the id of the last event that the client has seen, if it sent one outside the document.
        """
        ...


class OperationService:
    """Runs operations of `schema`: `admit` may reject one before it runs, `subscribers` counts subscriptions.

    `hear` is called at the end of every operation that is not an HTTP request of its own.
    """

    def __init__(
        self,
        schema: Executable,
        *,
        context_for: ContextFactory,
        admit: Admit,
        subscribers: Subscribers,
        hear: Callable[[object], None],
        persisted: NotPersisted | PersistedDocuments,
        count_new_document: Callable[[str | None], None],
    ) -> None:
        self.subscribers = subscribers
        self.hear = hear
        self._schema = schema
        self._context_for = context_for
        self._admit = admit
        self._persisted = persisted
        self._count_new_document = count_new_document

    def begin(
        self, operation: Operation, viewer: Viewer, note: RequestNote, *, resume_after: int = 0
    ) -> Execution | Rejected:
        """The operation in a context of its own, ready to run, or its rejection. `note` gets its name."""
        return self._kept(operation, viewer, self._begun(operation, viewer, note, resume_after))

    def begin_for_guest(self, operation: Operation, viewer: Viewer, note: RequestNote) -> Execution | Rejected | None:
        """As `begin`, if the operation is valid and asks for fields for guests alone, or is a hash that is not known;
        None otherwise.

        Validation takes a hundred times as long as the refusal of a request without a token. So what names no such
        field is not looked at, and documents that are not cached are counted by address.
        """
        text = self._text(operation)
        if isinstance(text, Rejected):
            # A client that sent the hash alone sends the text next, if it is told to.
            return None if operation.query else text
        if not any(field in text for field in GUEST_FIELDS):
            return None
        if text not in self._schema.documents:
            try:
                self._count_new_document(note.remote)
            except GraphQLError as error:
                return Rejected((error,))
        execution = self._begun(operation, viewer, note, 0)
        if isinstance(execution, Rejected) or not execution.roots or execution.roots - GUEST_FIELDS:
            return None
        # Each address pays for itself: otherwise one visitor could use up what all of them may ask for.
        payer = replace(viewer, subject=f"{viewer.subject} at {network_of(note.remote or '')}")
        return self._kept(operation, payer, execution)

    def _begun(
        self, operation: Operation, viewer: Viewer, note: RequestNote, resume_after: int
    ) -> Execution | Rejected:
        note.operation = operation.name
        text = self._text(operation)
        if isinstance(text, Rejected):
            return text
        execution = self._schema.begin(
            text,
            variables=operation.variables,
            name=operation.name,
            context=self._context_for(viewer, note, resume_after),
        )
        if isinstance(execution, Execution) and execution.name is not None:
            note.operation = shortened(execution.name, NAME_CHARACTERS_MAX)
        return execution

    def _text(self, operation: Operation) -> str | Rejected:
        if operation.document_id is None:
            return operation.query or ""
        return self._persisted.text(operation.query, operation.document_id)

    def _kept(self, operation: Operation, payer: Viewer, execution: Execution | Rejected) -> Execution | Rejected:
        if operation.document_id is not None and operation.query and isinstance(execution, Execution):
            # Only what parses and validates is kept.
            self._persisted.keep(operation.query)
        return self._admit(payer, execution)
