"""The ASGI application and the server that runs it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.bootstrap import Backend
from app.http.admin import scheduler_admin
from app.http.answers import http_problem
from app.http.base_path import BasePath
from app.http.browser_safety import Cors, ForeignGuard, HostGuard, SafetyHeaders
from app.http.connections import HttpConnection, TransportLimits
from app.http.console import Console, refusing_page
from app.http.farewell import Farewell
from app.http.forwarding import Forwarding
from app.http.graphql import GraphQLEndpoint
from app.http.health import health_endpoint, metrics_endpoint, readiness_endpoint
from app.http.holder_page import holder_page
from app.http.operations import Bodies
from app.http.places import ActiveRequests, Places
from app.http.rates import Admit, CostBudget, GuestRate, MutationRate, admit_by
from app.http.request_id import RequestIdMiddleware, RequestNote
from app.http.room import PARTIAL_BYTES_MAX, Budget, Lobby, Room, ServerConfig
from app.http.socket_connection import SocketConnection
from app.http.stripe_webhook import stripe_webhook
from app.http.subscribers import Subscribers
from app.limit_settings import MEBIBYTE, CallerLimits
from app.observability.metrics import Metrics
from app.settings import Settings, load_settings
from app.trusted_documents import trusted_documents
from sandbox import SandboxGateway
from schema.context import RequestContext, Viewer
from schema.documents import Limits
from schema.execution import Executable
from schema.persisted import NotPersisted, PersistedDocuments
from schema.root import create_schema

__all__ = ["create_app", "server_config", "spare_the_collector"]

#: The queue of connections to accept; the system cuts it to net.core.somaxconn.
BACKLOG: Final = 2_048
PING_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 65
#: The time for running requests after SIGTERM; streams end at once.
GRACE_SECONDS: Final = 3
#: New documents that one address may send without a token: each takes up to some hundredths of a second.
GUEST_DOCUMENTS_PER_MINUTE: Final = 20
#: Thresholds of the garbage collector: new objects per young collection, and collections per older generation.
_COLLECTED_AFTER: Final = (10_000, 20, 50)


def create_app(settings: Settings | None = None, *, backend: Backend | None = None) -> Starlette:
    """The application: the API, the console, and the routes for operators and monitoring. Its lifespan runs it all.

    `settings`: if None, those of the process's environment. `backend`: if None, it is created from the
    settings. `app.state` has `backend`, and `room` for `server_config`.
    """
    backend = backend or Backend(settings or load_settings())
    settings = backend.settings

    guests = GuestRate(per_minute=settings.guest_lookups_per_minute_max)
    # Each look-up may have a document of its own.
    guest_documents = GuestRate(per_minute=max(GUEST_DOCUMENTS_PER_MINUTE, settings.guest_lookups_per_minute_max))

    def context_for(viewer: Viewer, note: RequestNote, resume_after: int = 0) -> RequestContext:
        return RequestContext(
            backend.services,
            viewer,
            note.correlation_ids.append,
            resume_after,
            note.request_id,
            base_path=note.base_path,
            answer_by=note.answer_by,
            count_guest=partial(guests.count, note.remote),
        )

    console = Console()
    executable, persisted = _documents(settings)
    room = Room(
        idle=Lobby(settings.connections_idle_max),
        # At least one message can always be received.
        frames=Budget(max(PARTIAL_BYTES_MAX, settings.frame_bytes_max + MEBIBYTE)),
        init_bytes_max=settings.socket_init_bytes_max,
    )
    places = Places(
        settings.requests_active_max,
        sockets_per_caller_max=settings.caller_limits.sockets,
        opening=Lobby(settings.sockets_opening_max),
    )
    _show(backend.metrics, room, places)
    endpoint = GraphQLEndpoint(
        executable,
        context_for=context_for,
        authenticate=backend.authenticate,
        allowed_origins=settings.allowed_origins,
        limits=TransportLimits(
            init_seconds=settings.socket_init_seconds,
            operations_max=settings.socket_operations_max,
            idle_seconds=settings.socket_idle_seconds,
        ),
        subscribers=Subscribers(per_caller_max=settings.caller_limits.subscriptions, observer=backend.metrics),
        bodies=Bodies(settings.body_bytes_max),
        places=places,
        admit=_admission(settings.caller_limits),
        hear=backend.logs.hear,
        page=refusing_page if settings.persisted_queries == "only" else console.graphiql,
        persisted=persisted,
        count_new_document=guest_documents.count,
    )
    # Under auth `none` all callers are on this machine.
    operators = backend.authenticate if backend.settings.auth == "jwt" else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with backend.running():
            yield

    app = _Application(
        settings,
        hear=backend.logs.hear,
        routes=[
            Route("/graphql", endpoint),
            WebSocketRoute("/graphql", endpoint),
            scheduler_admin(backend.scheduler, backend.authenticate),
            Route("/healthz", health_endpoint(operators=backend.authenticate)),
            Route("/readyz", readiness_endpoint(backend.readiness, operators=backend.authenticate)),
            Route("/metrics", metrics_endpoint(backend.metrics, backend.refresh_gauges, operators=operators)),
            stripe_webhook(settings.webhook_secrets, on_news=backend.news.hear),
            *_holder_pages(backend),
            *console.routes,
        ],
        middleware=[
            *(
                [
                    Middleware(HostGuard, origins=settings.allowed_origins),
                    Middleware(ForeignGuard, origins=settings.allowed_origins),
                ]
                if settings.auth == "none"
                else []
            ),
            Middleware(ActiveRequests, places=places, authenticate=backend.authenticate),
            Middleware(_Shortcut, path="/graphql", endpoint=endpoint),
        ],
        lifespan=lifespan,
    )
    # A redirect to the path without its last slash would repeat the Host header that the client sent.
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.room = room
    return app


def _holder_pages(backend: Backend) -> list[Route]:
    if isinstance(backend.gateway, SandboxGateway):
        return [holder_page(backend.gateway, on_answer=backend.news.hear)]
    return []


def _show(metrics: Metrics, room: Room, places: Places) -> None:
    """Add the counts of refused and displaced clients to the metrics."""
    metrics.counter(
        "seatsaga_requests_refused",
        "Requests and sockets refused because all places were taken.",
        lambda: places.refused,
    )
    metrics.counter(
        "seatsaga_sockets_refused",
        "Sockets refused because their caller had the maximum number.",
        lambda: places.sockets_refused,
    )
    metrics.counter(
        "seatsaga_sockets_idle_closed",
        "Sockets closed after a long time without an operation.",
        lambda: places.idle_closed,
    )
    metrics.counter(
        "seatsaga_connections_displaced",
        "Connections without a request and sockets without an acknowledgement that others displaced.",
        lambda: room.idle.displaced + places.opening.displaced,
    )
    metrics.counter(
        "seatsaga_partial_displaced",
        "Incomplete heads and messages that others displaced.",
        lambda: room.heads.displaced + room.frames.displaced,
    )


def _documents(settings: Settings) -> tuple[Executable, NotPersisted | PersistedDocuments]:
    """What runs documents, and the documents that clients may name by their hash."""
    schema, limits, introspection = create_schema(), _document_limits(settings), settings.introspection == "on"
    if settings.trusted_documents is None:
        executable = Executable(schema, limits, introspection=introspection)
        return executable, NotPersisted() if settings.persisted_queries == "off" else PersistedDocuments()
    check = Executable(schema, limits, introspection=introspection).documents
    trusted = trusted_documents(settings.trusted_documents, check)
    return (
        Executable(schema, limits, introspection=introspection, trusted=trusted.forms),
        PersistedDocuments(trusted.by_id),
    )


def _document_limits(settings: Settings) -> Limits:
    return Limits(
        depth_max=settings.document_depth_max,
        aliases_max=settings.document_aliases_max,
        tokens_max=settings.document_tokens_max,
        cost_max=settings.document_cost_max,
        answer_bytes_max=settings.answer_bytes_max,
        characters_max=settings.document_characters_max,
        values_max=settings.variables_values_max,
    )


def _admission(limits: CallerLimits) -> Admit:
    admissions: list[Admit] = []
    if limits.cost_per_minute is not None:
        admissions.append(CostBudget(per_minute=limits.cost_per_minute).admit)
    if limits.mutations_per_minute is not None:
        admissions.append(MutationRate(per_minute=limits.mutations_per_minute, burst=limits.mutations_burst).admit)
    return admit_by(*admissions)


class _Application(Starlette):
    """Adds the request id, CORS and the security headers to every answer, also to a refusal and to that of a fault."""

    def __init__(self, settings: Settings, *, hear: Callable[[object], None], **parts: Any) -> None:
        self._settings = settings
        self._hear = hear
        super().__init__(exception_handlers={HTTPException: http_problem}, **parts)

    def build_middleware_stack(self) -> ASGIApp:
        """As Starlette does, with ours outermost."""
        settings = self._settings
        safe = SafetyHeaders(Farewell(super().build_middleware_stack()))
        shared = Cors(safe, origins=settings.allowed_origins, headers=settings.allowed_headers)
        beneath = BasePath(RequestIdMiddleware(shared, hear=self._hear), base_path=settings.base_path)
        proxies = settings.forwarded_allow_ips
        return Forwarding(beneath, proxies=proxies) if proxies else beneath


class _Shortcut:
    """Passes the requests of `path` directly to `endpoint`, as most requests are: past Starlette's search for a route,
    and past its handling of HTTPException, which `endpoint` does not raise.
    """

    def __init__(self, app: ASGIApp, *, path: str, endpoint: ASGIApp) -> None:
        self._app = app
        self._path = path
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        is_for_it = scope["type"] == "http" and scope["path"] == self._path
        await (self._endpoint if is_for_it else self._app)(scope, receive, send)


def spare_the_collector() -> None:
    """Freeze the start-up objects, and raise the thresholds of the garbage collector: for a process that only serves.

    The collector used a fifth of the time under load and found almost nothing: requests leave hardly any cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def server_config(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    frame_bytes_max: int = MEBIBYTE,
    room: Room | None = None,
    compresses_sockets: bool = False,
) -> ServerConfig:
    """uvicorn's configuration: uvloop, httptools, one log.

    `compresses_sockets`: for clients that offer it; see `app.http.socket_connection` for its cost.
    """
    return ServerConfig(
        app,
        room=room or Room(),
        host=host,
        port=port,
        loop="uvloop",
        http=HttpConnection,
        ws=SocketConnection,
        ws_max_size=frame_bytes_max,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=compresses_sockets,
        backlog=BACKLOG,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # The application handles proxy headers itself, also Forwarded.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
