"""The client address and scheme of a request, as a trusted proxy reports them.

::

    client ──▶ proxy ──▶ us      X-Forwarded-For, X-Forwarded-Proto; else Forwarded (RFC 7239)

Any client can write these headers, so they are ignored unless a trusted proxy sent them. uvicorn's middleware
reads X-Forwarded-*; it does not read Forwarded, and does not say whether the proxy was trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

__all__ = ["Forwarding", "is_from_proxy"]

_FROM_PROXY: Final = "seatsaga.proxy"
#: \b: a match begins only at the start of a name. Otherwise a long name without a value costs quadratic time.
_PAIR: Final = re.compile(r'\b(\w+)=(?:"([^"]*)"|([^;,\s"]*))')
_PORT: Final = re.compile(r":\d+\Z")


def is_from_proxy(scope: Scope) -> bool:
    """Whether the request came through a trusted proxy."""
    return _FROM_PROXY in scope


class Forwarding:
    """Trusts `proxies` (addresses and networks) to report the client address and scheme of a request."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[str]) -> None:
        self._app = app
        self._believing: Any = ProxyHeadersMiddleware(cast(Any, app), list(proxies))
        self._proxies = self._believing.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request as if the client had connected directly."""
        client = scope.get("client")
        if client is None or client[0] not in self._proxies:
            await self._app(scope, receive, send)
            return
        scope[_FROM_PROXY] = True
        headers = Headers(scope=scope)
        if "forwarded" in headers and "x-forwarded-for" not in headers:
            self._believe(scope, ", ".join(headers.getlist("forwarded")))
            await self._app(scope, receive, send)
        else:
            await self._believing(scope, receive, send)

    def _believe(self, scope: Scope, forwarded: str) -> None:
        """Take the last hop that is not a trusted proxy, or else the first hop."""
        for hop in reversed(list(_hops(forwarded))):
            node = hop.get("for", "")
            host = _PORT.sub("", node).strip("[]") if node.startswith("[") or node.count(":") == 1 else node
            if host:
                scope["client"] = (host, 0)
            if hop.get("proto") in ("http", "https"):
                secure = hop["proto"] == "https"
                scope["scheme"] = ("wss" if secure else "ws") if scope["type"] == "websocket" else hop["proto"]
            if host not in self._proxies:
                return


def _hops(forwarded: str) -> Iterator[dict[str, str]]:
    """The elements of the header, each a hop, as written."""
    hop: dict[str, str] = {}
    end = 0
    for pair in _PAIR.finditer(forwarded):
        if hop and "," in forwarded[end : pair.start()]:
            yield hop
            hop = {}
        hop[pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
        end = pair.end()
    yield hop
