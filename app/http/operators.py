"""What operators and their machines get over HTTP: JSON, and problems as in RFC 9457; whoever else asks, a problem."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.http.auth import Authenticator, Caller, Unauthenticated, token_of_header
from app.http.request_id import note_of
from schema.context import Viewer

__all__ = ["PROBLEM_JSON", "json_answer", "operator_of", "problem"]

PROBLEM_JSON: Final = "application/problem+json"


async def operator_of(request: Request, authenticate: Authenticator) -> Viewer | Response:
    """Who asks, where that is an operator; else 401 for nobody (503 where that cannot be said now), 403 for others."""
    token = token_of_header(request.headers.get("authorization"))
    caller: Caller | Unauthenticated
    if token is None:
        caller = Unauthenticated("An operator's bearer token is needed.")
    else:
        caller = token if isinstance(token, Unauthenticated) else await authenticate(token)
    if isinstance(caller, Unauthenticated):
        return problem(caller.status, caller.message, headers=caller.headers)
    note_of(request.scope).asked_by(caller.viewer)
    if not caller.viewer.is_operator:
        headers = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
        return problem(403, "This is for operators; send an operator's bearer token.", headers=headers)
    return caller.viewer


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Why the request is not served, in one sentence."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_answer(status, body, media_type=PROBLEM_JSON, headers=headers)


def json_answer(
    status: int, body: Any, *, media_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return Response(msgspec.json.encode(body), status_code=status, media_type=media_type, headers=headers)
