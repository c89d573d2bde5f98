"""Protects users of browsers, and this server, from pages of other sites.

::

    SafetyHeaders   adds security headers to every answer: content sniffing, framing, caching
    HostGuard       without authentication, refuses a Host that is not this machine: otherwise a page at evil.example
                    could point its name to 127.0.0.1 and share our origin (DNS rebinding)
    ForeignGuard    without authentication, refuses requests that an untrusted proxy forwarded (it hides the client)
                    and requests of pages of other sites
    Cors            lets pages of other origins call us and read every answer, also a refusal

A request that a page can send without a preflight (a form, an image) changes nothing here: a
mutation must be JSON by POST, and the scheduler's admin needs a token that no browser sends by itself.

CORS is Starlette's. Its TrustedHostMiddleware is not used: it matches names but not networks, so it would refuse
127.0.0.2, and it answers in plain text without a reason.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.answers import problem
from app.http.fields import field_of, fields_of
from app.http.forwarding import is_from_proxy
from app.settings import is_loopback

__all__ = ["Cors", "ForeignGuard", "HostGuard", "SafetyHeaders", "is_from_our_page"]

#: A page or an asset that needs other values sets them itself. Strict-Transport-Security is left to the proxy that
#: terminates TLS.
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
#: Our own headers, those that GraphQL clients and fetch libraries send by themselves, and those of tracing.
_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "X-Request-ID",
    "Last-Event-ID",
    "Prefer",
    "Cache-Control",
    "Pragma",
    "X-Requested-With",
    "If-None-Match",
    # Apollo, urql, Relay, graphql-request
    "Apollo-Require-Preflight",
    "GraphQL-Require-Preflight",
    "GraphQL-Preflight",
    "X-Apollo-Operation-Name",
    "X-Apollo-Operation-ID",
    "X-Apollo-Operation-Type",
    "X-Apollo-Cache-Key",
    "ApolloGraphQL-Client-Name",
    "ApolloGraphQL-Client-Version",
    # W3C trace context; Sentry
    "Traceparent",
    "Tracestate",
    "Baggage",
    "Sentry-Trace",
    # Zipkin, Jaeger
    "B3",
    "X-B3-TraceId",
    "X-B3-SpanId",
    "X-B3-ParentSpanId",
    "X-B3-Sampled",
    "X-B3-Flags",
    "Uber-Trace-Id",
    # Datadog
    "X-Datadog-Origin",
    "X-Datadog-Trace-Id",
    "X-Datadog-Parent-Id",
    "X-Datadog-Sampling-Priority",
    "X-Datadog-Sampled",
    "X-Datadog-Tags",
    # New Relic, Elastic, Application Insights, AWS X-Ray, Google Cloud
    "NewRelic",
    "Elastic-Apm-Traceparent",
    "Request-Id",
    "Request-Context",
    "X-Amzn-Trace-Id",
    "X-Cloud-Trace-Context",
)
#: The paths that pages of other origins may use.
_SHARED: Final = ("/graphql", "/admin/scheduler")
_METHODS: Final = ("GET", "POST", "PATCH")
_MISDIRECTED: Final = (
    "Without authentication, requests are answered for localhost, 127.0.0.1 and [::1] alone, and for the hosts of "
    "SEATSAGA_ALLOWED_ORIGINS."
)
#: Headers that a proxy adds, besides X-Forwarded-*.
_FORWARDED: Final = frozenset({"forwarded", "via", "x-real-ip"})
#: A request without any of these fields, and without X-Forwarded-*, is neither forwarded nor that of a page.
_TELLING: Final = frozenset({b"origin", b"sec-fetch-site", *(name.encode() for name in _FORWARDED)})
#: Date: waits are counted down by the server's clock.
_RESPONSE_HEADERS: Final = ("X-Request-ID", "Retry-After", "Date", "ETag", "Preference-Applied")
#: The longest time for which a browser caches a preflight's answer.
_PREFLIGHT_SECONDS: Final = 7_200


class SafetyHeaders:
    """Adds the security headers that an answer does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                message["headers"] = headers + [header for header in _HEADERS if header[0] not in present]
            await send(message)

        await self._app(scope, receive, send_safely)


class HostGuard:
    """Lets a request in if its Host is a name of this machine or the host of one of `origins`."""

    def __init__(self, app: ASGIApp, *, origins: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = {urlsplit(origin).hostname for origin in origins}
        # Only a few names occur, so results are cached.
        self._is_ours = lru_cache(maxsize=64)(self._judge)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 421; a socket is refused before it opens."""
        if scope["type"] not in ("http", "websocket") or self._is_ours(field_of(scope, b"host") or ""):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem(421, _MISDIRECTED)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _judge(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._hosts


class ForeignGuard:
    """Refuses requests forwarded by untrusted proxies, and fetches by pages of sites other than `origins`.

    A user may follow a link to us: the linking page cannot read the page that is then shown.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 403; a socket is refused before it opens."""
        trouble = self._trouble(scope) if scope["type"] in ("http", "websocket") else None
        if trouble is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem(403, trouble)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _trouble(self, scope: Scope) -> str | None:
        fields = fields_of(scope)
        if _TELLING.isdisjoint(fields) and not any(name.startswith(b"x-forwarded-") for name in fields):
            return None
        headers = Headers(scope=scope)
        if not is_from_proxy(scope) and any(map(is_forwarding_header, headers)):
            return (
                "Without authentication, forwarded requests are refused; name the proxy in "
                "SEATSAGA_FORWARDED_ALLOW_IPS, or set SEATSAGA_AUTH=jwt."
            )
        if self._is_cross_site(scope, headers):
            return (
                "Without authentication, requests of pages of other sites are refused; name their origin in "
                "SEATSAGA_ALLOWED_ORIGINS."
            )
        return None

    def _is_cross_site(self, scope: Scope, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin in self._origins:
            return False
        if site is None:
            # Not a browser, or a browser from before 2023, which sends Origin except with a plain GET.
            return origin is not None and not is_loopback(_host_of(origin))
        is_shown = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        return site == "cross-site" and not (is_shown and scope.get("method") in ("GET", "HEAD"))


def is_forwarding_header(name: str) -> bool:
    """Whether a proxy adds a header of this name (in lower case)."""
    return name in _FORWARDED or name.startswith("x-forwarded-")


def is_from_our_page(headers: Headers, origins: Collection[str] = ()) -> bool:
    """Whether no page sent the request, or one of our own origin or of `origins`, by the Origin that browsers send."""
    origin = headers.get("origin")
    if origin is None or origin in origins:
        return True
    _, separator, host = origin.partition("://")
    return bool(separator) and host.lower() == headers.get("host", "").lower()


class Cors(CORSMiddleware):
    """Lets pages of `origins` call the API and the scheduler's admin, without cookies; nothing without `origins`.

    It must be outside of everything that may refuse a request: a browser hides an answer without these headers from
    the page. `headers`: more request headers that the pages may send.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], headers: Collection[str] = ()) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=(*_REQUEST_HEADERS, *headers),
            expose_headers=_RESPONSE_HEADERS,
            max_age=_PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request. A preflight of another origin is answered inside, like every request of that origin."""
        if not self.allow_origins or scope["type"] != "http" or not _is_shared(scope["path"]):
            await self.app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and not self.is_allowed_origin(Headers(scope=scope).get("origin", "")):
            await self.simple_response(scope, receive, send, request_headers=Headers(scope=scope))
        else:
            await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer says what is allowed, and the browser judges: for another status it would not name the header."""
        response = super().preflight_response(request_headers)
        response.status_code = 200
        return response


def _is_shared(path: str) -> bool:
    return any(path == shared or path.startswith(f"{shared}/") for shared in _SHARED)


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""
