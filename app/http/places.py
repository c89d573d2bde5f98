"""Places: limits everything served at once, so that neither one caller nor all sockets together take all places.

::

    opening             sockets before authentication: they are in a lobby of their own, see `app.http.room`
    requests_max        requests, streams and sockets
      of these, a tenth is reserved for requests and streams, as a socket has no time limit
    OPERATORS_MAX more  for operators, once all other places are taken
    health, metrics, preflights   need no place

Places are counted per process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.answers import limit_refusal
from app.http.auth import Authenticator, Caller, token_of_header
from app.http.busy import busy_answer
from app.http.room import Lobby
from domain.actors import ANONYMOUS
from schema.context import Viewer

__all__ = ["ActiveRequests", "Leave", "Places"]

OPERATORS_MAX: Final = 64
RETRY_AFTER_SECONDS: Final = 2
#: Monitoring reads these paths, and would take a refusal for a dead process.
_SPARED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: Gives a place back. Call it once.
Leave = Callable[[], None]


class Places:
    """The places of this process. `sockets_per_caller_max`: None is no limit.

    A caller is a subject; anonymous callers are distinguished by their network. Operators have no such limit.
    """

    def __init__(
        self, requests_max: int = 10_000, *, sockets_per_caller_max: int | None = None, opening: Lobby | None = None
    ) -> None:
        self.requests_max = requests_max
        self.opening = Lobby(1_000) if opening is None else opening
        self.refused = 0
        self.sockets_refused = 0
        self.idle_closed = 0
        self._sockets_max = max(1, requests_max - max(1, requests_max // 10))
        self._sockets_per_caller_max = sockets_per_caller_max
        self._taken: Counter[str] = Counter()
        self._sockets: Counter[str] = Counter()

    def take(self) -> Leave | None:
        """A place for a request; None if none is free."""
        return self._take("request") if self._shared < self.requests_max else None

    def take_as_operator(self) -> Leave | None:
        """A place for an operator: a general one, or else one of those reserved for operators."""
        return self.take() or (self._take("operator") if self._taken["operator"] < OPERATORS_MAX else None)

    def take_for_socket(self, viewer: Viewer, network: str) -> Leave | str:
        """A place for an authenticated socket, or a message that says why none is free and what to do."""
        if viewer.scopes:
            return self.take_as_operator() or self._full()
        caller = f"network {network}" if viewer.subject == ANONYMOUS else f"subject {viewer.subject}"
        most = self._sockets_per_caller_max
        if most is not None and self._sockets[caller] >= most:
            self.sockets_refused += 1
            return f"LIMIT_EXCEEDED: one caller may have {most} sockets; close one, or try again later"
        if self._shared >= self.requests_max or self._taken["socket"] >= self._sockets_max:
            return self._full()
        leave = self._take("socket")
        self._sockets[caller] += 1

        def leave_both() -> None:
            leave()
            self._sockets[caller] -= 1
            if not self._sockets[caller]:
                del self._sockets[caller]

        return leave_both

    def refuse(self) -> None:
        """Count a refusal for lack of a place, and return its message."""
        self.refused += 1

    @property
    def _shared(self) -> int:
        return self._taken["request"] + self._taken["socket"]

    def _full(self) -> str:
        self.refuse()
        return f"LIMIT_EXCEEDED: all places are taken; try again in {RETRY_AFTER_SECONDS} s"

    def _take(self, kind: str) -> Leave:
        self._taken[kind] += 1

        def leave() -> None:
            self._taken[kind] -= 1

        return leave


class ActiveRequests:
    """Gives each request and stream a place. Without a free place, it answers 503 with Retry-After.

    A preflight needs no place: it is answered at once, and a refused one would hide from a page why it is refused. A
    refusal is cheap: no body is read, and a token is checked only once all places are taken, as it may be an
    operator's. Health and metrics are always served, so that overload does not look like a dead process; for this
    reason uvicorn's own `limit_concurrency`, which refuses everything, is not used. A socket takes its place itself,
    after authentication.
    """

    def __init__(self, app: ASGIApp, *, places: Places, authenticate: Authenticator) -> None:
        self._app = app
        self._places = places
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it with 503."""
        if scope["type"] != "http" or scope["path"] in _SPARED or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        leave = self._places.take() or await self._take_as_operator(scope)
        if leave is None:
            self._places.refuse()
            most = self._places.requests_max
            message = f"{most} requests are being served; try again in {RETRY_AFTER_SECONDS} s."
            refusal = limit_refusal(503, message, limit=most, retry_after_seconds=RETRY_AFTER_SECONDS, close=True)
            await busy_answer(scope, refusal)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            leave()

    async def _take_as_operator(self, scope: Scope) -> Leave | None:
        token = token_of_header(Headers(scope=scope).get("authorization"))
        caller = await self._authenticate(token) if isinstance(token, str) else token
        return self._places.take_as_operator() if isinstance(caller, Caller) and caller.viewer.scopes else None
