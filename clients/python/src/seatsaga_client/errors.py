"""Everything that the library raises.

::

    ApiError              it never will work as asked; `code` says why
    ├── RefusedError      the server refused a mutation for reasons that the customer can mend: `errors`
    └── UnavailableError  it may work later, but the time for trying is over
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ApiError", "RefusedError", "UnavailableError"]


class ApiError(Exception):
    """`code`: the server's, as docs/api.md lists them; else HTTP_404 and the like, NOT_GRAPHQL or UNREACHABLE.

    `details`: what the server says beside the code, such as `oldest` of HISTORY_PRUNED. `correlation_id`: the saga's
    whose booking is in question: the same request under it books once.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
        self.correlation_id: str | None = None


class RefusedError(ApiError):
    """The server refused the mutation, and did nothing. `errors`: each reason, as the API tells it."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(str(errors[0]["code"]), " ".join(str(error["message"]) for error in errors), errors[0])
        self.errors = errors


class UnavailableError(ApiError):
    """The server is unreachable, stops or is busy. `retry_after_seconds`: when it wants to be asked again."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(code, message, details)
        self.retry_after_seconds = retry_after_seconds
