"""`seatsaga serve`: the process, its port, its signals and its limit of open files."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Annotated, Any, Final

import typer
import uvicorn
from starlette.applications import Starlette

from app.bootstrap import Backend
from app.escaping import escaped
from app.http.console import Console
from app.http.room import Room
from app.main import create_app, server_config, spare_the_collector
from app.private_files import TOKEN_FILE, kept_token
from app.settings import Settings, load_settings
from domain.errors import ConfigurationError

__all__ = ["allow_open_files", "serve"]

PRIVATE_UMASK: Final = 0o077
NOT_BUILT = "not built; install Node 20.19 or newer, and npm, run make setup, and start again"
#: Open files besides connections: databases, logs, listeners.
FILES_BESIDES: Final = 1_024
#: Used if the system sets no limit: by default a process can have no more (fs.nr_open).
FILES_MAX: Final = 1_048_576
_logger = logging.getLogger("seatsaga")


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on; SEATSAGA_HOST otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; SEATSAGA_PORT otherwise.")] = None,
) -> None:
    """Serve the API. Sets up an embedded database itself. SIGTERM and Ctrl-C end it cleanly, with exit code 0."""
    os.umask(PRIVATE_UMASK)
    settings = load_settings(host=host, port=port)
    app = create_app(settings)
    config = server_config(
        app,
        host=settings.host,
        port=settings.port,
        frame_bytes_max=settings.frame_bytes_max,
        room=app.state.room,
        compresses_sockets=settings.websocket_compression == "on",
    )
    # The lifespan is run here, so that a refused start prints only its one line.
    config.lifespan = "off"
    server = _Server(config, app.state.backend)
    _leave_on_signals(server)
    _reopen_logs_on_hangup(app.state.backend)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(app, server))


class _Server(uvicorn.Server):
    """Prints its address once it serves. On a signal it becomes not ready, drains, and ends.

    ::

        SIGTERM ──▶ not ready, waiting requests are answered ──▶ drains, still accepting ──▶ ends
                                                  a second signal ──────────────────────────────▲
    """

    def __init__(self, config: uvicorn.Config, backend: Backend) -> None:
        super().__init__(config)
        self._backend = backend
        self._settings = backend.settings
        self._is_told_to_leave = False
        self._leaves_at: float | None = None
        self.bound: list[socket.socket] = []

    def bind(self) -> None:
        """Bind the port, without accepting connections yet. Raises ConfigurationError."""
        self.bound = _bind(self._settings.host, self._settings.port)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        await super().startup(sockets)
        if self.started:
            _greet(self._settings)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after the drain; on a second signal, stop at once."""
        if self._is_told_to_leave:
            super().handle_exit(sig, frame)
        self._is_told_to_leave = True

    async def on_tick(self, counter: int) -> bool:
        """Called several times a second; returns whether to end."""
        if self._is_told_to_leave and self._leaves_at is None:
            self._leaves_at = time.monotonic() + self._settings.drain_seconds
            self._backend.begin_to_stop()
            # Until the next call, waiting requests get their answers.
            return False
        return await super().on_tick(counter) or (self._leaves_at is not None and time.monotonic() >= self._leaves_at)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, and end the open ones."""
        self._backend.begin_to_stop(for_good=True)
        await super().shutdown(sockets)


async def _serve(app: Starlette, server: _Server) -> None:
    backend: Backend = app.state.backend
    async with backend.running(before_changes=server.bind):
        _allow_connections(app, backend.settings)
        spare_the_collector()
        await server.serve(server.bound)


def _bind(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of `host`, bound to `port` but not listening yet."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(socket.socket(family, kind, protocol))
            sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sockets[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sockets[-1].bind(address)
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise ConfigurationError(
            f"{host}:{port}: the server cannot listen there ({error.strerror}); set SEATSAGA_HOST and SEATSAGA_PORT to "
            "an address of this machine and a free port."
        ) from error
    return sockets


def _allow_connections(app: Starlette, settings: Settings) -> None:
    """Allow as many connections as the settings say. If the system allows fewer, idle connections get a quarter."""
    room: Room = app.state.room
    files = allow_open_files(
        settings.requests_active_max + settings.sockets_opening_max + settings.connections_idle_max
    )
    room.idle.most = min(room.idle.most, files // 4)


def _leave_on_signals(server: uvicorn.Server) -> None:
    """Handle signals also before and after uvicorn does. uvicorn passes its signals on to these handlers at its end."""

    def leave(number: int, frame: Any) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def _reopen_logs_on_hangup(backend: Backend) -> None:
    """Reopen the log files on SIGHUP, after they were rotated. The SIGHUP of a closed terminal is harmless, too."""

    def reopen(number: int, frame: Any) -> None:
        backend.logs.reopen()

    signal.signal(signal.SIGHUP, reopen)


def _greet(settings: Settings) -> None:
    """Print to standard output only: more people may read the log files than may have the operators' token."""
    try:
        for line in _greeting(settings):
            print(escaped(line), flush=True)
    except OSError:
        # Standard output has no reader, or its disk is full. The server continues, and has nothing to flush at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _greeting(settings: Settings) -> Iterator[str]:
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{shown}:{settings.port}{settings.base_path}"
    yield f"seatsaga serves on {url}/graphql"
    built = f"{url}/saga/test" if Console().is_built else NOT_BUILT
    yield f"console: {built}"
    if settings.admin_token is None and settings.auth == "none":
        yield f"operator token: {kept_token(settings.data_dir)}  (kept in {settings.data_dir / TOKEN_FILE})"


def allow_open_files(connections_max: int) -> int:
    """Raise the limit of open files for `connections_max` connections; returns the new limit.

    If the system allows fewer, a warning is logged: connections beyond the limit are closed at once.
    """
    wanted = min(connections_max + FILES_BESIDES, FILES_MAX)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _logger.warning(
            "This process may open only %d files, but needs %d for %d connections at once: raise the limit of"
            " open files (ulimit -Hn, LimitNOFILE), or lower SEATSAGA_REQUESTS_ACTIVE_MAX.",
            allowed,
            wanted,
            connections_max,
        )
    return allowed
