"""A refusal for load, in the form that the client of the path can read.

::

    /graphql        a GraphQL response with one error, in the negotiated media type
    other paths     a problem (RFC 9457)
    a navigation    a page that loads itself again, for a browser that opens the console or GraphiQL

The status is 503, and `Retry-After` says when to come back.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from app.http.answers import PROBLEM_JSON, HttpRefusal, error_answer, problem
from app.http.fields import list_of
from app.http.negotiation import GRAPHQL_JSON, HTML, JSON, choose

__all__ = ["busy_answer"]

_GRAPHQL: Final = "/graphql"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{seconds}">
<title>seatsaga is busy</title>
</head>
<body>
<h1>seatsaga is busy</h1>
<p>{message} This page does so by itself.</p>
</body>
</html>
"""


def busy_answer(scope: Scope, refusal: HttpRefusal) -> Response:
    """The answer to a request that its route does not answer. The refusal has the header Retry-After."""
    headers = {"Vary": "Accept", **refusal.headers}
    is_graphql = scope["path"] == _GRAPHQL
    offered = (GRAPHQL_JSON, JSON) if is_graphql else (PROBLEM_JSON,)
    if scope["method"] in ("GET", "HEAD"):
        offered = (*offered, HTML)
    media_type = choose(list_of(scope, b"accept"), offered, otherwise=JSON if is_graphql else PROBLEM_JSON)
    if media_type == HTML:
        page = _PAGE.format(seconds=refusal.headers["Retry-After"], message=refusal.message)
        return HTMLResponse(page, refusal.status, headers)
    if is_graphql:
        # A client of streams alone reads the type that a status other than 200 may have.
        return error_answer(refusal, media_type or GRAPHQL_JSON)
    return problem(refusal.status, refusal.message, headers=headers)
