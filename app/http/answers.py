"""HTTP answers: a GraphQL response in the negotiated media type, else JSON and problems (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from graphql import ExecutionResult
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.http.negotiation import GRAPHQL_JSON, JSON
from schema.frames import encoded, encoded_errors

__all__ = [
    "PROBLEM_JSON",
    "HttpRefusal",
    "answer",
    "error_answer",
    "http_problem",
    "is_request_error",
    "json_answer",
    "limit_refusal",
    "problem",
]

PROBLEM_JSON: Final = "application/problem+json"

#: The extension of an error that says when to retry.
_RETRY_AFTER: Final = "retryAfterSeconds"
_HEADERS: Final = {"Vary": "Accept"}
_CONTENT_TYPES: Final = {kind: f"{kind}; charset=utf-8".encode() for kind in (JSON, GRAPHQL_JSON)}


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """The request cannot be executed. The answer is an HTTP status and one GraphQL error."""

    status: int
    message: str
    code: str = "BAD_USER_INPUT"
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def limit_refusal(
    status: int, message: str, *, limit: int, retry_after_seconds: int | None = None, close: bool = False
) -> HttpRefusal:
    """LIMIT_EXCEEDED, with the seconds until a retry if a retry helps; `close` ends the connection."""
    facts: dict[str, Any] = {"limit": limit}
    headers = {"Connection": "close"} if close else {}
    if retry_after_seconds is not None:
        facts[_RETRY_AFTER] = retry_after_seconds
        headers["Retry-After"] = str(retry_after_seconds)
    return HttpRefusal(status, message, "LIMIT_EXCEEDED", headers, facts)


def answer(result: ExecutionResult, media_type: str, encode: Callable[[ExecutionResult], bytes] = encoded) -> Response:
    """The response for an operation's result. `encode` writes the result if the operation was executed.

    A request error has no `data`. In graphql-response+json its status is 400, or 429 with Retry-After
    if the caller should retry later. In application/json its status is 200, as GraphQL over HTTP says.
    If the database cannot be used, the status is 503 in both: the request is not at fault.
    """
    if not is_request_error(result):
        return _response(200, encode(result), media_type)
    errors = result.errors or ()
    waits = [seconds for error in errors if (seconds := (error.extensions or {}).get(_RETRY_AFTER)) is not None]
    status = 200 if media_type != GRAPHQL_JSON else 429 if waits else 400
    if any((error.extensions or {}).get("code") == "UNAVAILABLE" for error in errors):
        status = 503
    headers = {"Retry-After": str(max(waits))} if waits else None
    return _response(status, encoded_errors(errors), media_type, headers)


def error_answer(refusal: HttpRefusal, media_type: str = JSON) -> Response:
    """A refusal as a GraphQL response with one error."""
    body = {"errors": [{"message": refusal.message, "extensions": {"code": refusal.code, **refusal.facts}}]}
    return _response(refusal.status, msgspec.json.encode(body), media_type, refusal.headers)


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed: the document did not parse or validate, or variables or arguments were invalid.

    What was executed has a cost among its extensions.
    """
    if result.data is not None or not result.errors:
        return False
    return result.extensions is None or all(error.path is None for error in result.errors)


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """A problem response; `detail` is one sentence that says why the request is not served."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_answer(status, body, media_type=PROBLEM_JSON, headers=headers)


async def http_problem(request: Request, error: Exception) -> Response:
    """The problem for a path that does not exist, or a method that a path does not have."""
    assert isinstance(error, HTTPException)
    said = {404: "There is nothing here.", 405: "This method is not allowed here."}
    return problem(error.status_code, said.get(error.status_code, error.detail), headers=error.headers)


def json_answer(
    status: int,
    body: Any,
    *,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    background: BackgroundTask | None = None,
) -> Response:
    """`body` as JSON; `background` runs once it is sent."""
    return Response(msgspec.json.encode(body), status, headers, media_type, background)


def _response(status: int, body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    if headers is None:
        return _Plain(body, status, media_type=media_type)
    return Response(
        body,
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers={**_HEADERS, **headers},
    )


class _Plain(Response):
    """A response without headers of its own, whose headers need no encoding."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """As Starlette does."""
        self.raw_headers = [
            (b"vary", b"Accept"),
            (b"content-length", b"%d" % len(self.body)),
            (b"content-type", _CONTENT_TYPES[self.media_type or JSON]),
        ]
