"""The server in a process of its own, as shipped or without a part of it.

`python -m bench.server PORT [--quiet] [--instant]`; settings come from the environment.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from app.bootstrap import Backend
from app.main import create_app, server_config, spare_the_collector
from app.settings import load_settings
from bench.instant import InstantGateway


def main() -> None:
    """Serve until SIGTERM."""
    settings = load_settings(port=int(sys.argv[1]))
    backend = Backend(
        settings,
        gateway=InstantGateway() if "--instant" in sys.argv else None,
        says_events="--quiet" not in sys.argv,
    )
    app = create_app(backend=backend)
    config = server_config(
        app,
        host=settings.host,
        port=settings.port,
        frame_bytes_max=settings.frame_bytes_max,
        compresses_sockets=settings.websocket_compression == "on",
    )
    _Server(config).run()


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        spare_the_collector()
        await super().startup(sockets)


if __name__ == "__main__":
    main()
