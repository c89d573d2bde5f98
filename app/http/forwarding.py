"""Where a request comes from, if a proxy that we trust says so.

::

    client ──▶ proxy ──▶ us      X-Forwarded-For, X-Forwarded-Proto; else Forwarded (RFC 7239)

From everybody else these headers are what any client can write, and nothing is read from them. uvicorn's middleware
reads X-Forwarded-*; it knows no Forwarded, and does not say whether a proxy was believed.
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
#: From the beginning of a name alone: a long one without a value would else be tried from each of its letters.
_PAIR: Final = re.compile(r'\b(\w+)=(?:"([^"]*)"|([^;,\s"]*))')
_PORT: Final = re.compile(r":\d+\Z")


def is_from_proxy(scope: Scope) -> bool:
    """Whether it came through a proxy that we trust."""
    return _FROM_PROXY in scope


class Forwarding:
    """Lets `proxies`, addresses and networks, say which client a request comes from and by which scheme."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[str]) -> None:
        self._app = app
        self._believing: Any = ProxyHeadersMiddleware(cast(Any, app), list(proxies))
        self._proxies = self._believing.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it as the client's own."""
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
        """The last hop that is no proxy of ours, or the first of all."""
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
