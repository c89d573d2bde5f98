"""The same services behind Strawberry's own ASGI class, on the same server: the reference for our transport.

`python -m bench.stock PORT`; settings come from the environment.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL

from app.bootstrap import Backend
from app.http.room import Room
from app.limit_settings import MEBIBYTE
from app.main import server_config
from app.settings import load_settings
from schema.context import RequestContext, Viewer
from schema.root import create_schema

__all__ = ["StockGraphQL"]


class StockGraphQL(GraphQL[Any, Any]):
    """Strawberry's class as it comes; everybody is an operator, so that all may be asked."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(create_schema())
        self._backend = backend

    async def get_context(self, request: Any, response: Any) -> RequestContext:
        """A context for a request or, as the class has it, for all operations of a socket."""
        return RequestContext(self._backend.services, Viewer("operator", is_operator=True))


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(port=int(sys.argv[1]))
    backend = Backend(settings)
    endpoint = StockGraphQL(backend)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with backend.running():
            yield

    routes = [Route("/graphql", endpoint), WebSocketRoute("/graphql", endpoint)]
    app = Starlette(routes=routes, lifespan=lifespan)
    # The class tells nobody that it has acknowledged a socket, so its sockets would stay limited to short messages.
    room = Room(init_bytes_max=MEBIBYTE)
    uvicorn.Server(server_config(app, host=settings.host, port=settings.port, room=room)).run()


if __name__ == "__main__":
    main()
