"""The one endpoint, /graphql: GraphQL over HTTP, streams, graphql-transport-ws, and a page for browsers.

Strawberry executes operations; the transport is ours and follows the specifications. Media types are
negotiated. A request that cannot be executed gets a 4xx with a JSON body. A mutation never runs
by GET. Each operation has its own context, also on a socket.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final

from graphql import ExecutionResult, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.escaping import shortened
from app.http.answers import HttpRefusal, answer, error_answer
from app.http.auth import GUEST, Authenticator, Caller, Unauthenticated, token_of_header
from app.http.browser_safety import is_from_our_page
from app.http.caching import kept_for
from app.http.connections import TransportLimits
from app.http.console import explorer_page
from app.http.deadlines import HASTE, answer_within, preferred_wait
from app.http.fields import field_of, fields_of, list_of
from app.http.negotiation import GRAPHQL_JSON, HTML, JSON, choose
from app.http.operations import Bodies, Operation, read_operation
from app.http.places import Places
from app.http.rates import Admit, admit_all
from app.http.request_id import note_of
from app.http.service import ContextFactory, OperationService
from app.http.socket import SocketSession
from app.http.socket_channel import Close, SocketChannel
from app.http.streams import EVENT_STREAM, Framing, ResultStream, choose_framing, whole_stream
from app.http.subscribers import Subscribers
from app.limit_settings import MEBIBYTE
from schema.execution import Executable, Rejected
from schema.frames import encoded
from schema.persisted import NotPersisted, PersistedDocuments

__all__ = ["GraphQLEndpoint"]

PROTOCOL: Final = "graphql-transport-ws"
#: The bodies of callers without a token, where others need one: each, and all together, apart from other callers'.
GUEST_BODY_BYTES_MAX: Final = 16_384
GUEST_READING_BYTES_MAX: Final = 4 * MEBIBYTE
#: A refused origin is cut to this length in the log.
ORIGIN_CHARACTERS_MAX: Final = 200
_SEQUENCE_DIGITS_MAX: Final = 9
_METHODS: Final = ("GET", "POST")
_OFFERED: Final = (GRAPHQL_JSON, JSON)
_OFFERED_BY_GET: Final = (*_OFFERED, HTML)
_STREAMS: Final = (
    f"A subscription cannot be sent as one response. Use WebSocket ({PROTOCOL}), or accept {EVENT_STREAM} "
    'or multipart/mixed;subscriptionSpec="1.0".'
)
_logger = logging.getLogger("seatsaga.http")


class GraphQLEndpoint:
    """An ASGI application over `schema`.

    Pages of `allowed_origins` may open sockets, besides our own. `admit` decides on every operation
    last, before it runs. `subscribers` counts and limits the subscriptions of all transports, and
    `places` limits everything that is served. `hear` is called for every operation on a socket.
    Browsers get `page`. Clients may name documents of `persisted` by hash. `count_new_document` is called with the
    address of somebody without a token before a document of theirs is validated; it raises GraphQLError to refuse it.
    """

    def __init__(
        self,
        schema: Executable,
        *,
        context_for: ContextFactory,
        authenticate: Authenticator,
        allowed_origins: Collection[str] = (),
        limits: TransportLimits | None = None,
        subscribers: Subscribers | None = None,
        bodies: Bodies | None = None,
        places: Places | None = None,
        admit: Admit = admit_all,
        hear: Callable[[object], None] = lambda signal: None,
        page: Callable[[Request], Response] = lambda request: explorer_page(),
        persisted: NotPersisted | PersistedDocuments | None = None,
        count_new_document: Callable[[str | None], None] = lambda address: None,
    ) -> None:
        self._service = OperationService(
            schema,
            context_for=context_for,
            admit=admit,
            subscribers=subscribers or Subscribers(per_caller_max=None),
            hear=hear,
            persisted=NotPersisted() if persisted is None else persisted,
            count_new_document=count_new_document,
        )
        self._authenticate = authenticate
        self._allowed_origins = frozenset(allowed_origins)
        self._limits = limits or TransportLimits()
        self._bodies = bodies or Bodies()
        self._guest_bodies = Bodies(GUEST_BODY_BYTES_MAX, reading_bytes_max=GUEST_READING_BYTES_MAX)
        self._places = places or Places()
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one socket."""
        if scope["type"] == "websocket":
            await self._serve_socket(WebSocket(scope, receive, send))
        else:
            response = await self._respond(Request(scope, receive))
            await response(scope, receive, send)

    # ------------------------------------------------------------------ HTTP

    async def _respond(self, request: Request) -> ASGIApp:
        method, scope = request.method, request.scope
        if method not in _METHODS:
            headers = {"Allow": "GET, POST"}
            return error_answer(HttpRefusal(405, f"{method} is not allowed; use POST or GET.", headers=headers))
        offered = _OFFERED_BY_GET if method == "GET" else _OFFERED
        accept = list_of(scope, b"accept")
        media_type, framing = choose(accept, offered, otherwise=JSON), choose_framing(accept)
        if media_type is None and framing is None:
            return error_answer(HttpRefusal(406, f"Accept {GRAPHQL_JSON}, {JSON}, or {EVENT_STREAM}."))
        if media_type == HTML:
            return self._page(request)
        caller = await self._caller_of(field_of(scope, b"authorization"))
        if isinstance(caller, Unauthenticated):
            served = None
            if "authorization" not in request.headers:
                served = await self._serve_guest(request, media_type, framing)
            return served or _refused(
                HttpRefusal(caller.status, caller.message, caller.code, caller.headers), media_type, framing
            )
        note_of(scope).asked_by(caller.viewer)
        operation = await read_operation(request, self._bodies)
        if isinstance(operation, HttpRefusal):
            return _refused(operation, media_type, framing)
        return await self._execute(operation, caller, request, media_type, framing)

    async def _serve_guest(self, request: Request, media_type: str | None, framing: Framing | None) -> ASGIApp | None:
        """The answer to somebody without a token, if they ask for nothing but what guests may have."""
        operation = await read_operation(request, self._guest_bodies)
        if isinstance(operation, HttpRefusal):
            # A busy server does not know whether it was a look-up.
            is_busy = operation.status == HTTPStatus.SERVICE_UNAVAILABLE
            return _refused(operation, media_type, framing) if is_busy else None
        execution = self._service.begin_for_guest(operation, GUEST, note_of(request.scope))
        if execution is None or isinstance(execution, Rejected):
            return None if execution is None else _answered(execution.result, media_type, framing)
        return _answered(await execution.result(), media_type, framing, execution.encoded)

    async def _execute(
        self, operation: Operation, caller: Caller, request: Request, media_type: str | None, framing: Framing | None
    ) -> ASGIApp:
        """A query or mutation is answered in JSON even if a stream is accepted: clients send both in every Accept."""
        note, fields = note_of(request.scope), fields_of(request.scope)
        resume_after = _last_event_id(fields.get(b"last-event-id", b""))
        is_in_haste = not HASTE.isdisjoint(fields)
        if is_in_haste and (seconds := answer_within(request.headers)) is not None:
            note.answer_by = note.began + seconds
        execution = self._service.begin(operation, caller.viewer, note, resume_after=resume_after)
        if isinstance(execution, Rejected):
            return _answered(execution.result, media_type, framing)
        if execution.kind is OperationType.MUTATION and request.method != "POST":
            refusal = HttpRefusal(405, "A mutation must not be sent by GET; use POST.", headers={"Allow": "POST"})
            return _refused(refusal, media_type, framing)
        if execution.kind is not OperationType.SUBSCRIPTION:
            result = await execution.result()
            response = _answered(result, media_type, framing, execution.encoded)
            if is_in_haste and (wait := preferred_wait(request.headers)) is not None:
                response.headers["Preference-Applied"] = f"wait={wait}"
            seconds = execution.public_seconds
            is_asked_by_hash = request.method == "GET" and operation.document_id is not None and media_type is not None
            # `errors` also stand in place of an answer that is too long: then there is no data.
            if seconds is None or not is_asked_by_hash or result.errors or _has_no_data(response):
                return response
            return kept_for(seconds, request, response)
        if framing is None:
            return error_answer(HttpRefusal(400, _STREAMS), media_type or JSON)
        subscriber = self._service.subscribers.enter(caller.viewer, framing.transport)
        if isinstance(subscriber, Rejected):
            return _answered(subscriber.result, media_type, framing)
        return ResultStream(
            execution,
            framing,
            subscribers=self._service.subscribers,
            subscriber=subscriber,
            limits=self._limits,
            expires_at=caller.expires_at,
            is_resumed=resume_after > 0,
        )

    async def _caller_of(self, authorization: str | None) -> Caller | Unauthenticated:
        token = token_of_header(authorization)
        return token if isinstance(token, Unauthenticated) else await self._authenticate(token)

    # ------------------------------------------------------------------ WebSocket

    async def _serve_socket(self, websocket: WebSocket) -> None:
        # The same-origin policy does not cover WebSockets.
        if not is_from_our_page(websocket.headers, self._allowed_origins):
            origin = shortened(websocket.headers.get("origin", ""), ORIGIN_CHARACTERS_MAX)
            _logger.warning("A socket from origin %s was refused.", origin)
            await websocket.close(1008)
            return
        if PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            channel = SocketChannel(websocket, stall_seconds=self._limits.stall_seconds)
            await channel.close(Close(4406, "Subprotocol not acceptable"))
            return
        await websocket.accept(PROTOCOL)
        session = SocketSession(
            websocket, self._service, authenticate=self._authenticate, limits=self._limits, places=self._places
        )
        await session.serve()


def _answered(
    result: ExecutionResult,
    media_type: str | None,
    framing: Framing | None,
    encode: Callable[[ExecutionResult], bytes] = encoded,
) -> Response:
    """A result, or why there is none: as JSON, or as a whole stream for a client that accepts nothing else."""
    response = answer(result, media_type or GRAPHQL_JSON, encode)
    return response if media_type is not None or framing is None else whole_stream(framing, response)


def _has_no_data(response: Response) -> bool:
    return bytes(response.body).startswith(b'{"data":null')


def _refused(refusal: HttpRefusal, media_type: str | None, framing: Framing | None) -> Response:
    """As `_answered`, of a request that cannot be executed."""
    response = error_answer(refusal, media_type or JSON)
    return response if media_type is not None or framing is None else whole_stream(framing, response)


def _last_event_id(given: bytes) -> int:
    """The sequence from which a reconnecting EventSource resumes: its Last-Event-ID header, as ids are sequences."""
    return int(given) if given.isdigit() and len(given) <= _SEQUENCE_DIGITS_MAX else 0
