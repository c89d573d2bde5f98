"""What only operators may ask for over HTTP: whoever else asks gets the problem that says so."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.http.auth import Authenticator, Caller, Unauthenticated, token_of_header
from app.http.problems import problem
from app.http.request_id import note_of
from schema.context import Viewer

__all__ = ["operator_of"]


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
