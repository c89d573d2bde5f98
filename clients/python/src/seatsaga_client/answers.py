"""What an answer means: data, an error that a repetition may mend, or one that never will."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, TypeGuard

from seatsaga_client.errors import ApiError, UnavailableError
from seatsaga_client.steps import Answer

__all__ = ["are_graphql", "data_of", "error_of", "error_of_exception", "graphql_error", "seconds_of_date"]

#: Codes of errors that pass: the same request again may succeed.
PASSING: Final = frozenset({"SERVER_STOPPING", "SLOW_CONSUMER", "UNAVAILABLE", "INTERNAL"})
#: Statuses below 500 that pass.
PASSING_STATUSES: Final = frozenset({408, 425, 429})
_NETWORK_LIBRARIES: Final = frozenset({"gql", "aiohttp", "websockets", "httpx", "httpcore", "requests", "urllib3"})


def data_of(answer: Answer) -> dict[str, Any]:
    """The data of a GraphQL response. Raises ApiError, or UnavailableError if a repetition may mend it."""
    body = _json_of(answer)
    if body is None or body.get("errors") or not isinstance(body.get("data"), dict):
        raise error_of(answer)
    data: dict[str, Any] = body["data"]
    return data


def error_of(answer: Answer) -> ApiError:
    """The error of an answer that is not the one that was asked for."""
    body, retry_after = _json_of(answer) or {}, _retry_after(answer.headers)
    if are_graphql(errors := body.get("errors")):
        return graphql_error(errors, retry_after)
    return _http_error(answer.status, str(body.get("detail", "")), retry_after)


def error_of_exception(error: BaseException) -> ApiError | None:
    """What an exception of a GraphQL or network library means; None for any other, which is a fault of the program.

    Known are the shapes of gql, aiohttp, websockets, httpx and requests; none of them is imported.
    """
    is_network = False
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ApiError):
            return link
        errors = getattr(link, "errors", None)
        if are_graphql(errors):
            return graphql_error(errors)
        numbers = (getattr(holder, name, None) for holder, name in _holders(link))
        number = next((each for each in numbers if isinstance(each, int) and each), None)
        if number is not None:
            return _http_error(number, str(link)) if number < 1000 else _close_error(number, str(link))
        is_network |= isinstance(link, OSError) or type(link).__module__.partition(".")[0] in _NETWORK_LIBRARIES
        link = link.__cause__
    return UnavailableError("DISCONNECTED", str(error) or type(error).__name__) if is_network else None


def _holders(link: BaseException) -> list[tuple[object, str]]:
    """Where httpx, requests and websockets keep the status of a response, websockets the code of a close frame, and
    aiohttp and gql the status.
    """
    response, close = getattr(link, "response", None), getattr(link, "rcvd", None)
    own = [(link, "status")] + [(link, "code")] * (type(link).__module__.partition(".")[0] == "gql")
    return [(response, "status_code"), (close, "code"), *own]


def _close_error(code: int, message: str) -> ApiError:
    if code == 4403:
        return ApiError("UNAUTHENTICATED", message)
    is_final = code in (1002, 1007, 1009) or (4400 <= code < 4500 and code != 4408)
    return ApiError(f"CLOSE_{code}", message) if is_final else UnavailableError(f"CLOSE_{code}", message)


def _http_error(status: int, why: str, retry_after: float | None = None) -> ApiError:
    if status < 400:
        return ApiError("NOT_GRAPHQL", f"The server does not answer as a GraphQL server ({status}).")
    message = f"The server answers {status}. {why or _phrase(status)}".rstrip()
    if status == 401:
        return ApiError("UNAUTHENTICATED", message)
    if status >= 500 or status in PASSING_STATUSES:
        return UnavailableError(f"HTTP_{status}", message, None, retry_after)
    return ApiError(f"HTTP_{status}", message)


def are_graphql(errors: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether these are errors of GraphQL: a gateway's JSON may have others."""
    return isinstance(errors, list) and bool(errors) and all(isinstance(e, dict) and "message" in e for e in errors)


def graphql_error(errors: Sequence[Mapping[str, Any]], retry_after: float | None = None) -> ApiError:
    """The error of a GraphQL response with these errors; the first that does not pass decides its code."""
    facts = [error.get("extensions") or {} for error in errors]
    lasting = [each for each in facts if not _passes(each)]
    details = (lasting or facts)[0]
    code, message = str(details.get("code", "INTERNAL")), "; ".join(str(error["message"]) for error in errors)
    if lasting:
        return ApiError(code, message, details)
    waits = [each["retryAfterSeconds"] for each in facts if "retryAfterSeconds" in each]
    waits += [retry_after] if retry_after is not None else []
    return UnavailableError(code, message, details, max(waits, default=None))


def _passes(facts: Mapping[str, Any]) -> bool:
    return facts.get("code", "INTERNAL") in PASSING or "retryAfterSeconds" in facts


def _json_of(answer: Answer) -> dict[str, Any] | None:
    try:
        body = json.loads(answer.body or b"")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The header's seconds, or those until its date."""
    said = headers.get("retry-after")
    if said is None:
        return None
    if said.isdecimal():
        return float(said)
    until, now = seconds_of_date(said), seconds_of_date(headers.get("date", ""))
    return None if until is None else max(0.0, until - (time.time() if now is None else now))


def seconds_of_date(said: str) -> float | None:
    """The seconds since the epoch of a header's date; None if it is none."""
    try:
        return parsedate_to_datetime(said).timestamp()
    except ValueError:
        return None


def _phrase(status: int) -> str:
    return f"{HTTPStatus(status).phrase}." if status in {each.value for each in HTTPStatus} else ""
