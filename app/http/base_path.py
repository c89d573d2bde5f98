"""The path beneath which everything is served, for a proxy that has other programs beside this server.

::

    client asks for    the proxy passes on    or strips     inside
    /seats/graphql     /seats/graphql         /graphql      /graphql

Both kinds of proxies work without a further setting, and so do probes that ask the server itself: a path is served with
the base path and without it. All code inside knows the paths without it. `base_path_of` gives the base path to code
that writes an address for a client: a redirect, a page, a link.

ASGI's `root_path` says the same, but leaves it in the path, and each comparison of a path would have to remove it.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PREFIX", "BasePath", "base_path_of"]

#: The key in a scope for the prefix that a trusted proxy reports.
PREFIX: Final = "seatsaga.prefix"
_BASE_PATH: Final = "seatsaga.base_path"


def base_path_of(scope: Scope) -> str:
    """What a client must put before a path of this server: empty, or like `/seats`."""
    base_path: str = scope.get(_BASE_PATH, "")
    return base_path


class BasePath:
    """Serves the application beneath `base_path`; if that is empty, beneath the prefix that a trusted proxy reports."""

    def __init__(self, app: ASGIApp, *, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request under its path without the base path."""
        base_path = self._base_path or scope.get(PREFIX, "")
        if base_path and scope["type"] in ("http", "websocket"):
            scope[_BASE_PATH] = base_path
            path = scope["path"]
            if path == base_path or path.startswith(f"{base_path}/"):
                scope["path"] = path.removeprefix(base_path) or "/"
        await self._app(scope, receive, send)
