"""What the transport asks of the schema: a fresh context for every operation."""

from __future__ import annotations

from typing import Any, Protocol

from app.http.request_id import RequestNote
from schema.context import Viewer

__all__ = ["ContextFactory"]


class ContextFactory(Protocol):
    """Makes the context of one operation; `note` hears which correlation IDs it had to do with."""

    def __call__(self, viewer: Viewer, note: RequestNote, resume_after: int = 0) -> Any:
        """A context that no other operation has seen, so that a loader never serves yesterday's row.

        `resume_after`: the id of the last event that the client has seen, where it says so beside the document.
        """
        ...
