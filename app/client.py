"""A small client of our own public API: GraphQL over HTTP, and graphql-transport-ws with resume.

gql supports both, too, but parses each document first. We would still have to write resuming, and to distinguish a
refusal from an unreachable server.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

__all__ = ["Client", "ServerAwayError", "ServerError"]

CONNECT_SECONDS: Final = 10.0
RECONNECTS_MAX: Final = 60
RECONNECT_SECONDS: Final = 1.0
LOOKS_MAX: Final = 15
#: A Date header has whole seconds, so a smaller difference of the clocks does not count.
CLOCK_SECONDS: Final = 1.5
#: Codes of temporary errors: the server has a fault, its database is unavailable, it stops, or the reader was slow.
PASSING: Final = frozenset({"INTERNAL", "UNAVAILABLE", "SERVER_STOPPING", "SLOW_CONSUMER"})
_EVENTS: Final = """subscription($id: UUID!, $after: Int!) { sagaEvents(correlationId: $id, after: $after) {
  sequence type step compensation attempt message at failure { code message } correlationId } }"""


class ServerError(Exception):
    """The server refuses the request; the message says what to do."""


class ServerAwayError(ServerError):
    """The server is unreachable or cannot answer now; a retry may succeed."""


class Client:
    """Talks to the server at `url`. `token`: the token of a customer or of the operators, if one is needed.

    Raises ServerError if `url` is not a URL.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        try:
            is_url = httpx.URL(url).scheme in ("http", "https")
        except httpx.InvalidURL:
            is_url = False
        if not is_url:
            raise ServerError(f"{url} is not the URL of a server; give one like http://127.0.0.1:8000.")
        self.url = url.rstrip("/")
        self._ahead_seconds = 0.0
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._payload = {"authorization": f"Bearer {token}"} if token else {}
        # Without TLS no authorities are loaded: that takes longer than a command's request. Redirects are not followed.
        is_secure = httpx.URL(url).scheme == "https"
        self._http = httpx.AsyncClient(headers=headers, timeout=CONNECT_SECONDS, verify=is_secure)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._http.aclose()

    def address(self, path: str) -> str:
        """The whole URL of a page that the server names, by its path or already whole."""
        return urljoin(f"{self.url}/", path)

    def server_now(self) -> float:
        """The time by the server's clock, as its last answer told it, to about a second; seconds since the epoch."""
        return time.time() + self._ahead_seconds

    async def query(self, document: str, **variables: Any) -> dict[str, Any]:
        """The `data` of one query or mutation. Raises ServerError, or ServerAwayError if a retry may succeed."""
        try:
            sent_at = time.time()
            response = await self._http.post(f"{self.url}/graphql", json={"query": document, "variables": variables})
            self._learn_time(response, sent_at)
            body = response.json()
        except httpx.TransportError as error:
            raise self._absent() from error
        except ValueError as error:
            raise ServerError(f"{self.url} does not answer as a GraphQL server ({response.status_code}).") from error
        if not isinstance(body, dict) or not ("errors" in body or "data" in body):
            why = body.get("detail") if isinstance(body, dict) else None
            kind = ServerAwayError if response.status_code >= 500 else ServerError
            raise kind(f"{self.url} answers {response.status_code}. {why or ''}".rstrip())
        if body.get("errors"):
            raise _refused(body["errors"])
        data: dict[str, Any] = body["data"]
        return data

    async def submit(self, path: str, **form: str) -> None:
        """Submit the form of one of the server's own pages. Raises ServerError if the page does not take it."""
        if not path.startswith("/"):
            raise ServerError(f"{path} is no page of {self.url}.")
        try:
            response = await self._http.post(self.address(path), data=form)
        except httpx.TransportError as error:
            raise self._absent() from error
        if response.is_error:
            raise ServerError(f"{self.url} answers {response.status_code} to the form of a page.")

    async def look(self, document: str, **variables: Any) -> dict[str, Any]:
        """As `query`, for operations that may be repeated: retries for a while if the server is unavailable."""
        for _ in range(LOOKS_MAX - 1):
            try:
                return await self.query(document, **variables)
            except ServerAwayError:
                await asyncio.sleep(RECONNECT_SECONDS)
        return await self.query(document, **variables)

    async def follow(self, correlation_id: str, *, after: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a saga above `after` until its terminal one.

        Guarantee: no gap and no repeat, also over lost connections: each new connection resumes after
        the last received event. Raises ServerError if the server stays unavailable.
        """
        failures = 0
        while True:
            try:
                stream = self._subscribe(_EVENTS, {"id": correlation_id, "after": after})
                async with aclosing(stream):
                    async for data in stream:
                        event: dict[str, Any] = data["sagaEvents"]
                        after, failures = event["sequence"], 0
                        yield event
                return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, ServerAwayError) as error:
                refusal = _refusal(error)
                if refusal is not None:
                    raise ServerError(f"{self.url} refuses: {refusal}") from error
                failures += 1
                if failures > RECONNECTS_MAX or (after == 0 and failures > 1 and isinstance(error, OSError)):
                    if isinstance(error, ServerAwayError):
                        raise
                    raise self._absent() from error
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _subscribe(self, document: str, variables: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        url = "ws" + self.url.removeprefix("http") + "/graphql"
        async with connect(
            url, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=CONNECT_SECONDS, compression=None
        ) as socket:
            await _send(socket, {"type": "connection_init", "payload": self._payload})
            await _expect_ack(socket)
            payload = {"query": document, "variables": variables}
            await _send(socket, {"type": "subscribe", "id": "1", "payload": payload})
            for _ in itertools.count():
                message = msgspec.json.decode(await socket.recv())
                match message["type"]:
                    case "next":
                        if message["payload"].get("errors"):
                            raise _refused(message["payload"]["errors"])
                        yield message["payload"]["data"]
                    case "error":
                        raise _refused(message["payload"])
                    case "complete":
                        return
                    case "ping":
                        await _send(socket, {"type": "pong"})

    def _learn_time(self, response: httpx.Response, sent_at: float) -> None:
        if (said := response.headers.get("date")) is not None:
            ahead = parsedate_to_datetime(said).timestamp() + 0.5 - (sent_at + time.time()) / 2
            self._ahead_seconds = ahead if abs(ahead) > CLOCK_SECONDS else 0.0

    def _absent(self) -> ServerError:
        return ServerAwayError(f"no server answers at {self.url}; start one with: seatsaga serve")


def _refused(errors: list[dict[str, Any]]) -> ServerError:
    """The exception for an answer with these errors."""
    said = "; ".join(error["message"] for error in errors)
    codes = {error.get("extensions", {}).get("code") for error in errors}
    if "UNAUTHENTICATED" in codes:
        said += " Set SEATSAGA_TOKEN to a customer's token, or SEATSAGA_ADMIN_TOKEN to the operators'."
    return ServerAwayError(said) if codes <= PASSING else ServerError(said)


def _refusal(error: Exception) -> str | None:
    """The server's reason if it refused the connection; None if it was unreachable."""
    if isinstance(error, InvalidStatus) and error.response.status_code < 500:
        return f"{error.response.status_code} {error.response.reason_phrase}"
    if isinstance(error, ConnectionClosed) and error.rcvd is not None and 4400 <= error.rcvd.code < 4500:
        return error.rcvd.reason
    return None


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(msgspec.json.encode(message).decode())


async def _expect_ack(socket: ClientConnection) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        message = msgspec.json.decode(await socket.recv())
    if message["type"] != "connection_ack":
        raise ServerError(f"the server answered connection_init with {message['type']}")
