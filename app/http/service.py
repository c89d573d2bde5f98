"""Begins operations for their callers, over whichever transport they come, each in a context of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from app.escaping import shortened
from app.http.operations import NAME_CHARACTERS_MAX, Operation
from app.http.rates import Admit
from app.http.request_id import RequestNote
from app.http.subscribers import Subscribers
from schema.context import Viewer
from schema.execution import Executable, Execution, Rejected

__all__ = ["ContextFactory", "OperationService"]


class ContextFactory(Protocol):
    """Makes the context of one operation; `note` hears which correlation IDs it had to do with."""

    def __call__(self, viewer: Viewer, note: RequestNote, resume_after: int = 0) -> Any:
        """A context that no other operation has seen, so that a loader never serves yesterday's row.

        `resume_after`: the id of the last event that the client has seen, where it says so beside the document.
        """
        ...


class OperationService:
    """`schema`, and what has a word in it: `admit` before an operation runs, `subscribers` while one is followed.

    `hear` is told of every operation that is no request of its own, once it is over.
    """

    def __init__(
        self,
        schema: Executable,
        *,
        context_for: ContextFactory,
        admit: Admit,
        subscribers: Subscribers,
        hear: Callable[[object], None],
    ) -> None:
        self.subscribers = subscribers
        self.hear = hear
        self._schema = schema
        self._context_for = context_for
        self._admit = admit

    def begin(
        self, operation: Operation, viewer: Viewer, note: RequestNote, *, resume_after: int = 0
    ) -> Execution | Rejected:
        """The operation in a context of its own, ready to run, or why it does not run; `note` hears what it was."""
        note.operation = operation.name
        execution = self._schema.begin(
            operation.query,
            variables=operation.variables,
            name=operation.name,
            context=self._context_for(viewer, note, resume_after),
        )
        if isinstance(execution, Execution) and execution.name is not None:
            note.operation = shortened(execution.name, NAME_CHARACTERS_MAX)
        return self._admit(viewer, execution)
