"""A little schema that shows what a transport must get right, and an endpoint over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from app.http.auth import Authenticator, OpenAuthenticator
from app.http.bodies import Bodies
from app.http.graphql import GraphQLEndpoint
from app.http.request_id import RequestIdMiddleware, RequestNote
from app.http.socket import SocketLimits
from schema.context import Viewer
from schema.execution import Executable
from tests.support.serving import Served, serving

ADMIN_TOKEN = "the admin token"


@dataclass
class Context:
    """One operation's context."""

    viewer: Viewer
    note: RequestNote


@dataclass
class Witness:
    """What the server did, as tests may ask."""

    contexts: list[Context] = field(default_factory=list)
    begun: int = 0
    ended: int = 0
    heard: list[Any] = field(default_factory=list)

    def forget(self) -> None:
        """Begin anew."""
        self.contexts.clear()
        self.heard.clear()


_witness: Witness = Witness()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def me(self, info: strawberry.Info[Context, None]) -> str:
        return f"{info.context.viewer.subject} {info.context.viewer.is_operator}"

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("broken on purpose")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def start(self, info: strawberry.Info[Context, None], correlation_id: str) -> str:
        info.context.note.correlation_ids.append(correlation_id)
        return correlation_id


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(1, to + 1):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncIterator[int]:
        _witness.begun += 1
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            _witness.ended += 1

    @strawberry.subscription
    async def faulty(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken on purpose")


@asynccontextmanager
async def probing(
    *,
    authenticate: Authenticator | None = None,
    limits: SocketLimits | None = None,
    bodies: Bodies | None = None,
    http: type[asyncio.Protocol] | None = None,
    origins: tuple[str, ...] = (),
) -> AsyncIterator[tuple[Served, Witness]]:
    """Serve the little schema; answers where, and a witness of what it does."""
    global _witness
    witness = _witness = Witness()

    def context_for(viewer: Viewer, note: RequestNote) -> Context:
        context = Context(viewer, note)
        witness.contexts.append(context)
        return context

    endpoint = GraphQLEndpoint(
        Executable(strawberry.Schema(Query, Mutation, Subscription)),
        context_for=context_for,
        authenticate=authenticate or OpenAuthenticator(ADMIN_TOKEN),
        allowed_origins=origins,
        limits=limits,
        bodies=bodies,
        hear=witness.heard.append,
    )
    routes = [Route("/graphql", endpoint), WebSocketRoute("/graphql", endpoint)]
    app = RequestIdMiddleware(Starlette(routes=routes), hear=witness.heard.append)
    async with serving(app, http=http) as served:
        yield served, witness
