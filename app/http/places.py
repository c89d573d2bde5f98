"""Places: how much is served at once, so that neither one caller nor all sockets together have all of it.

::

    opening             sockets that have not said who they are: a lobby of their own, see `app.http.room`
    requests_max        requests, streams and sockets
      of these, a tenth for requests and streams alone, as a socket stays as long as it likes
    OPERATORS_MAX more  for operators, once all others are taken
    health and metrics  need none

All of it is counted in this process alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.answers import error_answer, limit_refusal
from app.http.auth import ANONYMOUS, Authenticator, Caller, token_of_header
from app.http.room import Lobby
from schema.context import Viewer

__all__ = ["ActiveRequests", "Leave", "Places"]

OPERATORS_MAX: Final = 64
RETRY_AFTER_SECONDS: Final = 2
#: Asked by machines that would take a refusal for a death.
_SPARED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: Gives a place back; to be called once.
Leave = Callable[[], None]


class Places:
    """Those of this process. `sockets_per_caller_max`: None is any number.

    A caller is a subject; those who are anonymous are told apart by their network. Operators are not limited so.
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
        """A place for a request, None where there is none."""
        return self._take("request") if self._shared < self.requests_max else None

    def take_as_operator(self) -> Leave | None:
        """A place for an operator: one of all, or else one of those that are kept for operators."""
        return self.take() or (self._take("operator") if self._taken["operator"] < OPERATORS_MAX else None)

    def take_for_socket(self, viewer: Viewer, network: str) -> Leave | str:
        """A place for a socket whose caller is known; why there is none, and what to do, where there is none."""
        if viewer.is_operator:
            return self.take_as_operator() or self._full()
        caller = f"network {network}" if viewer.subject == ANONYMOUS else f"subject {viewer.subject}"
        most = self._sockets_per_caller_max
        if most is not None and self._sockets[caller] >= most:
            self.sockets_refused += 1
            return f"LIMIT_EXCEEDED: one caller may have {most} sockets; close one, or come back later"
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
        """Count a refusal for want of a place."""
        self.refused += 1

    @property
    def _shared(self) -> int:
        return self._taken["request"] + self._taken["socket"]

    def _full(self) -> str:
        self.refuse()
        return f"LIMIT_EXCEEDED: all places are taken; come back in {RETRY_AFTER_SECONDS} s"

    def _take(self, kind: str) -> Leave:
        self._taken[kind] += 1

        def leave() -> None:
            self._taken[kind] -= 1

        return leave


class ActiveRequests:
    """Gives each request and stream a place; those for whom there is none are told when to come back.

    What it refuses has cost next to nothing: no body is read, and a token is looked at only where it may be an
    operator's, once all places are taken. Health and metrics are always served, so that a stampede is not taken for a
    death; for that reason uvicorn's own `limit_concurrency`, which refuses everything, is not used. A socket asks for
    its place itself, once it is known whose it is.
    """

    def __init__(self, app: ASGIApp, *, places: Places, authenticate: Authenticator) -> None:
        self._app = app
        self._places = places
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse with 503."""
        if scope["type"] != "http" or scope["path"] in _SPARED:
            await self._app(scope, receive, send)
            return
        leave = self._places.take() or await self._take_as_operator(scope)
        if leave is None:
            self._places.refuse()
            most = self._places.requests_max
            message = f"{most} requests are being served; come back in {RETRY_AFTER_SECONDS} s."
            refusal = limit_refusal(503, message, limit=most, retry_after_seconds=RETRY_AFTER_SECONDS, close=True)
            await error_answer(refusal)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            leave()

    async def _take_as_operator(self, scope: Scope) -> Leave | None:
        token = token_of_header(Headers(scope=scope).get("authorization"))
        caller = await self._authenticate(token) if isinstance(token, str) else token
        return self._places.take_as_operator() if isinstance(caller, Caller) and caller.viewer.is_operator else None
