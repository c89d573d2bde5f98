"""What a trusted proxy reports of a request: the client's address, the scheme, the host, and the prefix it stripped.

::

    client ──▶ proxy ──▶ us      X-Forwarded-For, -Proto, -Host, -Port; or else Forwarded (RFC 7239)
                                 X-Forwarded-Prefix

Any client can write these headers, so they are ignored unless a trusted proxy sent them. Of several hops, each is
believed as long as trusted proxies reported it: from the last hop back to the first that is no trusted proxy, which is
the client. A value that is not valid is ignored, and the others of the same request are still used.

uvicorn's middleware reads X-Forwarded-For and one X-Forwarded-Proto. It reads neither Forwarded nor a host, and does
not say whether the proxy was trusted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.base_path import PREFIX
from app.settings import checked_base_path

__all__ = ["Forwarding", "is_from_proxy", "proxy_of"]

_FROM_PROXY: Final = "seatsaga.proxy"
#: A match begins only at the start of a name. Otherwise a long name without a value costs quadratic time.
_PAIR: Final = re.compile(r"""(?<![\w!#$%&'*+.^`|~-])([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]+))""")
#: What stands between two pairs.
_BETWEEN: Final = re.compile(r"[\s;,]*")
_PORT: Final = re.compile(r":\d+\Z")
#: A proxy may hide an address behind a name that begins with an underscore, or not know it (RFC 7239 section 6).
_HIDDEN: Final = re.compile(r"unknown|_[A-Za-z0-9._-]{1,63}")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_SECURE: Final = {"http": False, "ws": False, "https": True, "wss": True}
#: Browsers leave these ports out of an origin.
_DEFAULT_PORTS: Final = ("80", "443")
_PORT_MAX: Final = 65_535


def is_from_proxy(scope: Scope) -> bool:
    """Whether the request came through a trusted proxy."""
    return _FROM_PROXY in scope


def proxy_of(scope: Scope) -> str | None:
    """The address of the trusted proxy that the request came through last; None if there is none."""
    address: str | None = scope.get(_FROM_PROXY)
    return address


class Forwarding:
    """Trusts `proxies` (addresses and networks) to report where a request comes from and what it asked for."""

    def __init__(self, app: ASGIApp, *, proxies: Sequence[str]) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies]
        # A server has few proxies, and each sends many requests.
        self._is_trusted = lru_cache(maxsize=1_024)(self._judge)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request as if the client had connected directly."""
        client = scope.get("client")
        if client is not None and self._is_trusted(client[0]):
            scope[_FROM_PROXY] = client[0]
            headers = Headers(scope=scope)
            self._believe(scope, headers)
            _take_prefix(scope, headers.getlist("x-forwarded-prefix"))
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope, headers: Headers) -> None:
        """Go back along the hops to the client; each hop's values replace those of the hop after it."""
        host = port = None
        for hop in _hops(headers):
            address = _address(hop.get("for", ""))
            if address is not None:
                scope["client"] = (address, 0)
            secure = _SECURE.get(hop.get("proto", "").lower())
            if secure is not None:
                scope["scheme"] = ("ws" if scope["type"] == "websocket" else "http") + "s" * secure
            host, port = hop.get("host") or host, hop.get("port") or port
            if address is None or not self._is_trusted(address):
                break
        _take_host(scope, host if host and _HOST.fullmatch(host) else headers.get("host", ""), port)

    def _judge(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return any((mapped or parsed) in network for network in self._networks)


def _hops(headers: Headers) -> Iterator[dict[str, str]]:
    """The hops, the last first, each with the values that were reported of it."""
    if "forwarded" in headers and "x-forwarded-for" not in headers:
        yield from reversed(_elements(", ".join(headers.getlist("forwarded"))))
        return
    names = ("for", "proto", "host", "port")
    # Proxies append to each list, or replace it: the last elements belong together.
    columns = [
        [part.strip() for part in ",".join(headers.getlist(f"x-forwarded-{name}")).split(",")][::-1] for name in names
    ]
    for values in zip_longest(*columns, fillvalue=""):
        yield dict(zip(names, values, strict=True))


def _elements(forwarded: str) -> list[dict[str, str]]:
    """The elements of the header Forwarded, each a hop, as written; one empty hop if the header is not valid.

    A client can end the part that it writes with an open quote, so that it swallows what the proxy appends. Then the
    rest of the header is no pair.
    """
    hops: list[dict[str, str]] = [{}]
    end = 0
    for pair in _PAIR.finditer(forwarded):
        between = forwarded[end : pair.start()]
        if not _BETWEEN.fullmatch(between):
            return [{}]
        if hops[-1] and "," in between:
            hops.append({})
        hops[-1][pair[1].lower()] = pair[2] if pair[2] is not None else pair[3]
        end = pair.end()
    return hops if _BETWEEN.fullmatch(forwarded[end:]) else [{}]


def _address(node: str) -> str | None:
    """The address of a node without its port, or the name that hides it; None if it is neither."""
    name = _PORT.sub("", node) if node.startswith("[") or node.count(":") == 1 else node
    name = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name if _HIDDEN.fullmatch(name) else None


def _take_host(scope: Scope, host: str, port: str | None) -> None:
    """Replace the header Host, which checks of Host and Origin read. `port` is added to a host that has none."""
    is_port = port is not None and port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= _PORT_MAX
    if host and is_port and port not in _DEFAULT_PORTS and not _PORT.search(host):
        host = f"{host}:{port}"
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    scope["headers"] = [(b"host", host.encode("latin-1")), *headers] if host else headers


def _take_prefix(scope: Scope, reported: Sequence[str]) -> None:
    """Remember the prefix that the proxies stripped, the first proxy's first."""
    try:
        scope[PREFIX] = checked_base_path("".join(part.strip() for part in ",".join(reported).split(",")))
    except ValueError:
        # It would be written into pages and redirects.
        return
