"""Reads a GraphQL operation from an HTTP request, and refuses a malformed one.

Each body is limited in size and time, and all bodies being read together are limited in memory.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.types import Receive

from app.http.answers import HttpRefusal, limit_refusal
from app.http.connections import connection_of
from app.http.fields import field_of
from app.http.negotiation import JSON, parse_media_type
from app.limit_settings import MEBIBYTE

__all__ = ["DOCUMENT_ID_CHARACTERS_MAX", "NAME_CHARACTERS_MAX", "Bodies", "Operation", "operation_of", "read_operation"]

#: Operation names are logged, so they are limited.
NAME_CHARACTERS_MAX: Final = 200
#: An id is a hash, or a name of the operator's choice.
DOCUMENT_ID_CHARACTERS_MAX: Final = 200
_DOCUMENT_ID: Final = re.compile(rf"[A-Za-z0-9\-._~:]{{1,{DOCUMENT_ID_CHARACTERS_MAX}}}")
_NAME: Final = re.compile(rf"[A-Za-z_]\w{{0,{NAME_CHARACTERS_MAX - 1}}}", re.ASCII)
#: All incomplete bodies together.
READING_BYTES_MAX: Final = 64 * MEBIBYTE
READ_SECONDS_MAX: Final = 30.0
RETRY_AFTER_SECONDS: Final = 2
#: Of a body that is refused, what is still received.
DROPPED_BYTES_MAX: Final = 16 * MEBIBYTE
DROPPED_SECONDS_MAX: Final = 3.0
_CLOSE: Final = {"Connection": "close"}
_OBJECT: Final = (dict, NoneType)
_TEXT: Final = (str, NoneType)


@dataclass(frozen=True, slots=True)
class Operation:
    """The operation to execute: the text of its document, the id of a persisted document, or both."""

    query: str | None
    variables: dict[str, Any] | None
    name: str | None
    document_id: str | None = None


async def read_operation(request: Request, bodies: Bodies) -> Operation | HttpRefusal:
    """The operation of a GET or POST request, or a refusal with the status that GraphQL over HTTP requires."""
    if request.method == "GET":
        return _from_query(request)
    if request.method == "POST":
        return await _from_body(request, bodies)
    return HttpRefusal(405, f"{request.method} is not allowed here; use POST or GET.", headers={"Allow": "GET, POST"})


def operation_of(parameters: Any) -> Operation | str:
    """The decoded parameters as an operation, or a message that says what is wrong with them."""
    if not isinstance(parameters, dict):
        return "The request must be a JSON object."
    query, variables = parameters.get("query"), parameters.get("variables")
    name, extensions = parameters.get("operationName"), parameters.get("extensions")
    if not isinstance(variables, _OBJECT):
        return "`variables` must be an object."
    if not isinstance(name, _TEXT):
        return "`operationName` must be a string."
    if name and not _NAME.fullmatch(name):
        return f"`operationName` must be a name of at most {NAME_CHARACTERS_MAX} letters, digits and underscores."
    if not isinstance(extensions, _OBJECT):
        return "`extensions` must be an object."
    document_id = _document_id(parameters, extensions or {})
    if isinstance(document_id, _Wrong):
        return document_id.message
    is_text = isinstance(query, str) and bool(query.strip())
    if not is_text and (document_id is None or query not in (None, "")):
        return "`query` must be a GraphQL document."
    return Operation(query if is_text else None, variables, name or None, document_id)


@dataclass(frozen=True, slots=True)
class _Wrong:
    message: str


def _document_id(parameters: dict[str, Any], extensions: dict[str, Any]) -> str | _Wrong | None:
    """The id of the persisted document that the request names, in either protocol."""
    named, persisted = parameters.get("documentId"), extensions.get("persistedQuery")
    if named is not None:
        if not isinstance(named, str) or not _DOCUMENT_ID.fullmatch(named):
            return _Wrong("`documentId` must be the id of a document, such as sha256: and its hash in hexadecimal.")
        return named
    if persisted is None:
        return None
    if not isinstance(persisted, dict) or persisted.get("version") != 1:
        return _Wrong("`extensions.persistedQuery` must be an object with the version 1 and a sha256Hash.")
    found = persisted.get("sha256Hash")
    if not isinstance(found, str) or not _DOCUMENT_ID.fullmatch(found):
        return _Wrong("`extensions.persistedQuery.sha256Hash` must be a SHA-256 in hexadecimal.")
    return found


def _from_query(request: Request) -> Operation | HttpRefusal:
    parameters: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                parameters[name] = msgspec.json.decode(parameters[name])
            except (msgspec.DecodeError, RecursionError):
                return HttpRefusal(400, f"`{name}` is not valid JSON.")
        else:
            parameters.pop(name, None)
    return _checked(parameters)


async def _from_body(request: Request, bodies: Bodies) -> Operation | HttpRefusal:
    if not _is_json(field_of(request.scope, b"content-type") or ""):
        return HttpRefusal(415, "Send application/json in UTF-8.", headers={"Accept": JSON})
    if (field_of(request.scope, b"content-encoding") or "identity").strip().lower() != "identity":
        headers = {"Accept-Encoding": "identity"}
        return HttpRefusal(415, "Send the body uncompressed, without Content-Encoding.", headers=headers)
    body = await bodies.read(request)
    if isinstance(body, HttpRefusal):
        return body
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return HttpRefusal(400, "The body is not valid JSON in UTF-8.")
    return _checked(decoded)


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    """Whether it is JSON in UTF-8."""
    kind, parameters = parse_media_type(content_type)
    return kind == JSON and parameters.get("charset", "utf-8") in ("utf-8", "utf8")


def _checked(parameters: Any) -> Operation | HttpRefusal:
    operation = operation_of(parameters)
    return HttpRefusal(400, operation) if isinstance(operation, str) else operation


class Bodies:
    """Reads bodies of at most `bytes_max` each."""

    def __init__(
        self,
        bytes_max: int = MEBIBYTE,
        *,
        reading_bytes_max: int = READING_BYTES_MAX,
        seconds_max: float = READ_SECONDS_MAX,
    ) -> None:
        self._bytes_max = bytes_max
        # At least one body can always be read.
        self._reading_bytes_max = max(bytes_max, reading_bytes_max)
        self._seconds_max = seconds_max
        self._reading_bytes = 0

    async def read(self, request: Request) -> bytes | HttpRefusal:
        """The body. A body that is too large is refused before all of it is read."""
        body = bytearray()
        try:
            if connection_of(request.scope).is_received:
                return await self._read(request.receive, body)
            async with asyncio.timeout(self._seconds_max):
                return await self._read(request.receive, body)
        except TimeoutError:
            return HttpRefusal(408, f"The body did not come within {self._seconds_max:g} s.", headers=_CLOSE)
        finally:
            self._reading_bytes -= len(body)

    async def _read(self, receive: Receive, body: bytearray) -> bytes | HttpRefusal:
        is_whole = False
        while not is_whole:
            received = await receive()
            if received["type"] == "http.disconnect":
                return HttpRefusal(400, "The body ended early.")
            chunk, is_whole = received.get("body", b""), not received.get("more_body", False)
            if len(body) + len(chunk) > self._bytes_max:
                if not is_whole:
                    await _drop(receive)
                message = f"The body is larger than {self._bytes_max} bytes."
                return limit_refusal(413, message, limit=self._bytes_max, close=True)
            if self._reading_bytes + len(chunk) > self._reading_bytes_max:
                message = f"{self._reading_bytes_max} bytes of bodies are being read; try again later."
                return limit_refusal(
                    503, message, limit=self._reading_bytes_max, retry_after_seconds=RETRY_AFTER_SECONDS, close=True
                )
            body += chunk
            self._reading_bytes += len(chunk)
        return bytes(body)


async def _drop(receive: Receive) -> None:
    """Receive the rest, within limits: closing a connection with unread data resets it.

    A client or a proxy that is still sending would then lose the answer.
    """
    dropped_bytes = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DROPPED_SECONDS_MAX):
            while dropped_bytes <= DROPPED_BYTES_MAX:
                message = await receive()
                dropped_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
