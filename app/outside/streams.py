"""Sockets and streams: whether they pass, at once, and for longer than the interval of keep-alives."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator
from typing import Final

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from app.outside.observations import Observation, broken, holds, skipped
from app.outside.target import ASK_SECONDS_MAX, Target

__all__ = ["NEEDS_TOKEN", "refusal_in", "see_sockets", "see_stream"]

NEEDS_TOKEN: Final = "the server asks for a token; set SEATSAGA_ADMIN_TOKEN or SEATSAGA_TOKEN"
#: The first bytes leave the server with the head.
FIRST_SECONDS_MAX: Final = 5.0
#: The interval of keep-alives, and some time for the way.
KEEP_ALIVE_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS_MAX: Final = KEEP_ALIVE_SECONDS + 4.0
_FOREIGN: Final = Origin("https://seatsaga-doctor.invalid")
_PROTOCOL: Final = Subprotocol("graphql-transport-ws")
_SUBSCRIPTION: Final = "subscription($id: UUID!) { sagaEvents(correlationId: $id) { sequence } }"
_CODE: Final = re.compile(rb'"code": ?"([A-Z_]+)"')
_ACCEPTS: Final = {"sse": "text/event-stream", "multipart": "multipart/mixed;subscriptionSpec=1.0"}


def refusal_in(said: bytes) -> str | None:
    """Why the server itself refuses what is asked; None if it does not."""
    if b"UNAUTHENTICATED" in said:
        return NEEDS_TOKEN
    codes = _CODE.findall(said)
    if (b'"errors"' not in said and b'"error"' not in said) or not codes:
        return None
    return f"the server refuses the check's own operation ({codes[0].decode()})"


# ---------------------------------------------------------------------- SSE and multipart


async def see_stream(kind: str, target: Target, *, is_quick: bool) -> list[Observation]:
    """Open the stream of a saga that does not exist, which the server waits for, and watch its bytes arrive."""
    headers = {"Accept": _ACCEPTS[kind], "Accept-Encoding": "gzip, br", **target.bearer}
    began = time.monotonic()
    async with target.client() as http:
        try:
            async with asyncio.timeout(FIRST_SECONDS_MAX):
                request = http.build_request("POST", f"{target.url}/graphql", json=_operation(), headers=headers)
                response = await http.send(request, stream=True)
        except TimeoutError:
            return [
                broken(kind, f"Neither head nor keep-alive arrived within {FIRST_SECONDS_MAX:g} s: it is held back.")
            ]
        except httpx.TransportError as error:
            return [broken(kind, f"The stream failed: {error!r}.")]
        try:
            return await _see_bytes(kind, response, began, is_quick=is_quick)
        finally:
            await response.aclose()


async def _see_bytes(kind: str, response: httpx.Response, began: float, *, is_quick: bool) -> list[Observation]:
    if response.status_code != 200:
        refusal = refusal_in(await response.aread())
        said = f"The stream was answered {response.status_code}."
        return [broken(kind, said) if refusal is None else skipped(kind, refusal)]
    encoding = response.headers.get("content-encoding")
    said = f"The proxy compresses the {kind} stream ({encoding})."
    found = [holds("stream-compression") if encoding is None else broken("stream-compression", said)]
    chunks = response.aiter_raw()
    first = await _chunk(chunks, FIRST_SECONDS_MAX)
    if first is None:
        said = f"The head arrived, but nothing of the stream within {FIRST_SECONDS_MAX:g} s: it is held back."
        return [*found, broken(kind, said)]
    refusal = refusal_in(first)
    if refusal is not None:
        return [*found, skipped(kind, refusal)]
    if not first:
        return [*found, broken(kind, "The stream ended at once.")]
    found.append(holds(kind))
    if not is_quick:
        found.append(await _see_keep_alive(kind, chunks, began))
    return found


async def _see_keep_alive(kind: str, chunks: AsyncIterator[bytes], began: float) -> Observation:
    try:
        later = await _chunk(chunks, KEEP_ALIVE_SECONDS_MAX)
    except httpx.TransportError:
        later = b""
    if later is None:
        return broken(kind, f"No keep-alive arrived within {KEEP_ALIVE_SECONDS_MAX:g} s: it is held back.")
    if not later:
        return broken("keep-alive", f"The {kind} stream was cut after {time.monotonic() - began:.0f} s of silence.")
    return holds("keep-alive")


async def _chunk(chunks: AsyncIterator[bytes], seconds: float) -> bytes | None:
    """The next bytes; empty if the stream has ended, None if nothing came in time."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, b"")
    except (TimeoutError, httpx.ReadTimeout):
        return None


# ---------------------------------------------------------------------- sockets


async def see_sockets(target: Target, *, is_quick: bool) -> list[Observation]:
    """Open sockets as pages of the address and of another site do, and leave one silent."""
    own = await _handshake(target, Origin(target.origin))
    if own != 101:
        without = await _handshake(target, None)
        if without == 101:
            said = f"A socket of a page of {target.origin} was refused ({own}): Host arrives changed."
            return [broken("host", said), holds("websocket")]
        return [broken("websocket", f"The handshake was answered {own}, not 101: Upgrade does not arrive.")]
    found = [holds("websocket"), holds("host")]
    foreign = await _handshake(target, _FOREIGN)
    found.append(
        broken("origin", f"A socket of a page of {_FOREIGN} was accepted.") if foreign == 101 else holds("origin")
    )
    if not is_quick:
        found.append(await _see_silence(target))
    return found


async def _handshake(target: Target, origin: Origin | None) -> int | str:
    """The status of the answer; a text if there was none."""
    try:
        async with _socket(target, origin):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
    except (InvalidHandshake, OSError, EOFError) as error:
        return type(error).__name__


async def _see_silence(target: Target) -> Observation:
    began = time.monotonic()
    try:
        async with _socket(target, None) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": _payload(target)}))
            await socket.recv()
            await socket.send(json.dumps({"id": "a", "type": "subscribe", "payload": _operation()}))
            async with asyncio.timeout(KEEP_ALIVE_SECONDS_MAX):
                said = str(await socket.recv())
            return skipped("keep-alive", refusal_in(said.encode()) or f"the server said: {said[:100]}")
    except TimeoutError:
        return holds("keep-alive")
    except ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code in (4401, 4403):
            return skipped("keep-alive", NEEDS_TOKEN)
    except (InvalidHandshake, OSError, EOFError):
        pass
    return broken("keep-alive", f"The socket was cut after {time.monotonic() - began:.0f} s of silence.")


def _socket(target: Target, origin: Origin | None) -> connect:
    url = f"{target.url.replace('http', 'ws', 1)}/graphql"
    return connect(
        url,
        origin=origin,
        subprotocols=[_PROTOCOL],
        ssl=target.trust if target.is_secure else None,
        open_timeout=ASK_SECONDS_MAX,
        # The server's pings alone must keep it open.
        ping_interval=None,
        proxy=None,
    )


def _payload(target: Target) -> dict[str, str]:
    return {name.lower(): value for name, value in target.bearer.items()}


def _operation() -> dict[str, object]:
    return {"query": _SUBSCRIPTION, "variables": {"id": str(uuid.uuid4())}}
