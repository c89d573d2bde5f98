"""What is answered over HTTP: a GraphQL response in the negotiated media type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from graphql import ExecutionResult, GraphQLError
from starlette.responses import Response

from app.http.negotiation import GRAPHQL_JSON, JSON

__all__ = ["HttpRefusal", "answer", "error_answer", "formatted", "is_request_error"]

_HEADERS: Final = {"Vary": "Accept"}


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """The request cannot be executed; said as an HTTP status and one GraphQL error."""

    status: int
    message: str
    code: str = "BAD_USER_INPUT"
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(result: ExecutionResult, media_type: str) -> Response:
    """The result of an operation. A request error has no `data`; in graphql-response+json it is a 400."""
    if is_request_error(result):
        status = 400 if media_type == GRAPHQL_JSON else 200
        return _response(status, {"errors": _formatted_errors(result.errors or ())}, media_type)
    return _response(200, formatted(result), media_type)


def error_answer(refusal: HttpRefusal, media_type: str = JSON) -> Response:
    """A refusal as a GraphQL response with one error."""
    body = {"errors": [{"message": refusal.message, "extensions": {"code": refusal.code}}]}
    return _response(refusal.status, body, media_type, refusal.headers)


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed: the document did not parse or validate, or the variables did not fit."""
    return result.data is None and bool(result.errors) and all(error.path is None for error in result.errors or ())


def formatted(result: ExecutionResult) -> dict[str, Any]:
    """An execution result as a GraphQL response."""
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body["errors"] = _formatted_errors(result.errors)
    if result.extensions:
        body["extensions"] = result.extensions
    return body


def _formatted_errors(errors: Sequence[GraphQLError]) -> list[Any]:
    return [error.formatted for error in errors]


def _response(status: int, body: Any, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type=f"{media_type}; charset=utf-8",
        headers={**_HEADERS, **(headers or {})},
    )
