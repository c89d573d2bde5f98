"""A real server whose network, proxy and process fail on command, for clients in any language.

::

    client ──▶ Relay (fixed port) ──▶ seatsaga serve (fixed port, one database)
                 ▲ cut, hang, slow,             ▲ stop, kill, start,
                 │ lose, answer                 │ busy, prune
    test ────────┴──────────────────────────────┘
    Node ──▶ control: POST http://127.0.0.1:CONTROL/NAME {"argument": value} ──▶ {"value": ...}

Every public method is also a command of the control. `python -m tests.clients.weather FOLDER` prints one line of JSON,
{"url", "control", "flight", "token"}, and runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

import httpx

from cluster.processes import start
from tests.clients import tokens
from tests.clients.relay import Relay
from tests.support.children import Child, environment, fill, free_port, started
from tests.support.warm import Forked

__all__ = ["OPERATOR", "Weather"]

OPERATOR: Final = "the-token-of-the-operators"
SUBSCRIPTIONS_MAX: Final = 8
REQUESTS_MAX: Final = 60
_BUSY_SECONDS_MAX: Final = 10.0
_HEAD_BYTES_MAX: Final = 65_536
_LATE_FLIGHT: Final = "{ flights(first: 100) { edges { node { id } } } }"


class Weather:
    """The server is ready, and all is calm, from the context's begin on; it ends with the context.

    `settings`: more settings of the server. `through`: gets the server's port and returns the port of a proxy before
    it, which the relay then relays to. `has_small_buffers`: until its first end, the server gives every reader up that
    leaves one event untaken, with SLOW_CONSUMER.
    """

    def __init__(
        self,
        folder: Path,
        *,
        through: Callable[[int], int] | None = None,
        has_small_buffers: bool = False,
        **settings: str,
    ) -> None:
        own = {
            "auth": "jwt",
            "jwt_secret": tokens.SECRET,
            "jwt_leeway_seconds": "0",
            "admin_token": OPERATOR,
            "simulation": "on",
            "subscriptions_per_caller_max": str(SUBSCRIPTIONS_MAX),
            "requests_active_max": str(REQUESTS_MAX),
        }
        self._folder = folder
        self._env = environment(folder, **(own | settings))
        self._through = through or (lambda port: port)
        self._has_small_buffers = has_small_buffers
        self._child: Child | None = None
        self._crowd: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self.server_port = free_port()
        self.control = ""
        self.flight = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            fill(self._env, self._folder)
            stack.callback(self._end)
            self.start_server()
            self.flight = self._late_flight()
            self._relay = stack.enter_context(Relay(self._through(self.server_port)))
            self.control = stack.enter_context(_Control(self)).url
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The address of the server behind the relay, without a path."""
        return f"http://127.0.0.1:{self._relay.port}"

    @property
    def server_url(self) -> str:
        """The address of the server itself."""
        return f"http://127.0.0.1:{self.server_port}"

    # ---------------------------------------------------------------------- the server

    def stop_server(self) -> int:
        """SIGTERM, and wait for the end; return the exit code."""
        with self._lock:
            child, self._child = self._running(), None
            return child.terminate()

    def kill_server(self) -> None:
        """SIGKILL."""
        with self._lock:
            child, self._child = self._running(), None
            child.kill()

    def start_server(self) -> None:
        """Start it again on its port and its database, and wait until it is ready."""
        with self._lock:
            assert self._child is None, "the server is running"
            output = self._folder / "output.txt"
            command = ["serve", "--port", str(self.server_port)]
            process: subprocess.Popen[bytes] | Forked
            if self._has_small_buffers:
                self._has_small_buffers = False
                small = [sys.executable, "-m", "tests.clients.small_buffers", *command]
                process = start(small, output=output, folder=self._folder, environment=self._env)
            else:
                process = started(command, output=output, folder=self._folder, environment=self._env)
            self._child = Child(process, self.server_port, output)
            with ThreadPoolExecutor(1) as elsewhere:
                # The caller may be in a loop of its own.
                elsewhere.submit(asyncio.run, self._child.ready()).result()

    def busy(self, subject: str | None = None) -> int:
        """Take all places that are left; return how many those were.

        The places of subscriptions that `subject` has: the next one is refused with LIMIT_EXCEEDED. Where no subject
        is named, the places of all requests: the next one is answered 503 with Retry-After. Both until `quiet`.
        """
        query = urlencode({"query": f'subscription {{ seatChanges(flightId: "{self.flight}") {{ number }} }}'})
        for taken in range(REQUESTS_MAX + 1):
            bearer = tokens.token(subject or tokens.customer())
            request = (
                f"GET /graphql?{query} HTTP/1.1\r\nHost: 127.0.0.1:{self.server_port}\r\n"
                f"Accept: text/event-stream\r\nAuthorization: Bearer {bearer}\r\n\r\n"
            )
            place = socket.create_connection(("127.0.0.1", self.server_port), _BUSY_SECONDS_MAX)
            self._crowd.append(place)
            place.sendall(request.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += place.recv(_HEAD_BYTES_MAX)
            # A stream that goes on has no length.
            if b"content-length:" in head:
                self._crowd.pop().close()
                return taken
        raise AssertionError("the server takes any number of requests")

    def quiet(self) -> None:
        """Give up all places that `busy` took."""
        while self._crowd:
            self._crowd.pop().close()

    def prune(self, correlation_id: str) -> None:
        """Remove the events of a saga but its newest, as the job prune-history does when they are old."""
        with closing(sqlite3.connect(self._folder / "data" / "seatsaga.db", isolation_level=None)) as database:
            (saga,) = database.execute("SELECT id FROM sagas WHERE correlation_id = ?", [correlation_id]).fetchone()
            newest = "SELECT max(sequence) FROM saga_events WHERE saga_id = ?"
            database.execute(f"DELETE FROM saga_events WHERE saga_id = ? AND sequence < ({newest})", [saga, saga])

    def token(self, subject: str, seconds: int = 3600) -> str:
        """A token of a customer that expires after so many seconds."""
        return tokens.token(subject, seconds=seconds)

    # ---------------------------------------------------------------------- the network

    def cut(self) -> int:
        """See Relay."""
        return self._relay.cut()

    def hang(self, new: bool = False) -> int:
        """See Relay."""
        return self._relay.hang(new=new)

    def slow(self, bytes_per_second: int) -> None:
        """See Relay."""
        self._relay.slow(bytes_per_second)

    def answer(self, status: int, retry_after: int | None = None, times: int | None = None) -> int:
        """See Relay."""
        return self._relay.answer(status, retry_after=retry_after, times=times)

    def answered(self) -> int:
        """See Relay."""
        return self._relay.answered()

    def lose(self, times: int = 1) -> None:
        """See Relay."""
        self._relay.lose(times)

    def flow(self) -> None:
        """See Relay."""
        self._relay.flow()

    def calm(self) -> None:
        """As at the begin: the server runs, nobody else is there, the network carries everything."""
        self.quiet()
        self._relay.flow()
        if self._child is None:
            self.start_server()

    # ----------------------------------------------------------------------

    def _running(self) -> Child:
        assert self._child is not None, "the server is not running"
        return self._child

    def _end(self) -> None:
        self.quiet()
        if self._child is not None and self._child.process.poll() is None:
            self._child.kill()

    def _late_flight(self) -> str:
        """A flight that does not depart while the tests run."""
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        answer = httpx.post(f"{self.server_url}/graphql", json={"query": _LATE_FLIGHT}, headers=headers)
        identifier: str = answer.json()["data"]["flights"]["edges"][-1]["node"]["id"]
        return identifier


class _Control(ThreadingHTTPServer):
    """Runs the public methods of a Weather for whoever posts their name."""

    daemon_threads = True

    def __init__(self, weather: Weather) -> None:
        super().__init__(("127.0.0.1", 0), _Command)
        methods = inspect.getmembers(weather, inspect.ismethod)
        self.commands = {name: method for name, method in methods if not name.startswith("_")}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, name="weather-control", daemon=True).start()
        return self

    def __exit__(self, *ended: object) -> None:
        self.shutdown()
        self.server_close()


class _Command(BaseHTTPRequestHandler):
    server: _Control

    def do_POST(self) -> None:
        try:
            arguments = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            value = self.server.commands[self.path.removeprefix("/")](**arguments)
            self._say(200, {"value": value})
        except Exception as error:
            self._say(400, {"error": repr(error)})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


if __name__ == "__main__":
    with Weather(Path(sys.argv[1])) as _weather:
        _token = tokens.token(tokens.customer())
        _said = {"url": _weather.url, "control": _weather.control, "flight": _weather.flight, "token": _token}
        print(json.dumps(_said), flush=True)
        sys.stdin.read()
