"""Answers in JSON for operators and their machines; what is refused is a problem as in RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.responses import Response

__all__ = ["PROBLEM_JSON", "json_answer", "problem"]

PROBLEM_JSON: Final = "application/problem+json"


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Why the request is not served, in one sentence."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json_answer(status, body, media_type=PROBLEM_JSON, headers=headers)


def json_answer(
    status: int, body: Any, *, media_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Response:
    """`body` as JSON."""
    return Response(msgspec.json.encode(body), status_code=status, media_type=media_type, headers=headers)
