"""A PgBouncer in transaction mode, from the system's own package.

::

    with PgBouncer(make_url(server.url)) as pooler:
        pooler.url(database)        a URL through the pooler
        pooler.restart()            as after a crash: all clients lose their connections
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final

from sqlalchemy.engine import URL

from cluster.processes import free_port, start

__all__ = ["CONNECTIONS", "PgBouncer", "pgbouncer"]

#: Connections to the server for each database: few, so that many clients share them.
CONNECTIONS: Final = 4
CLIENTS_MAX: Final = 200
START_SECONDS_MAX: Final = 10.0
LOOK_SECONDS: Final = 0.02
#: Packages install it here; these folders are often not in the PATH of ordinary users.
_FOLDERS: Final = "/usr/sbin:/usr/local/sbin"
_DEFAULT_PORT: Final = 5432


class PgBouncer:
    """One pooler before the server at `to`, as its user, running while the block lasts. Use it on the main thread.

    All other settings are the package's defaults. `tolerates`: the names of startup parameters that it
    accepts and ignores; it refuses clients that send any other one.
    """

    def __init__(self, to: URL, *, pool_mode: str = "transaction", tolerates: str = "") -> None:
        self.port = free_port()
        self._to = to
        self._settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": "users.txt",
            "pool_mode": pool_mode,
            "default_pool_size": CONNECTIONS,
            "max_client_conn": CLIENTS_MAX,
            "ignore_startup_parameters": tolerates,
            # By default it waits 15 s after a failure, longer than a server needs to restart.
            "server_login_retry": 1,
            "log_connections": 0,
            "log_disconnections": 0,
        }
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="seatsaga-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Its log, from its first start on."""
        return self._folder / "log"

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of one database of the server, through this pooler."""
        return self._to.set(host="127.0.0.1", port=self.port, database=database).render_as_string(hide_password=False)

    def __enter__(self) -> PgBouncer:
        try:
            self._configure()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the same port as before; returns once it accepts connections."""
        program = pgbouncer()
        if program is None:
            raise RuntimeError("PgBouncer is not installed; run: apt-get install pgbouncer")
        self._process = start(
            [program, self._folder / "pgbouncer.ini"], output=self.log, folder=self._folder, user=self._user
        )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _takes_connections(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(LOOK_SECONDS)

    def kill(self) -> None:
        """SIGKILL; does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Drop every connection, of clients and to the server, and start again."""
        self.kill()
        self.start()

    def _configure(self) -> None:
        server = self._to
        lines = [
            "[databases]",
            f"* = host={server.host or '127.0.0.1'} port={server.port or _DEFAULT_PORT}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in self._settings.items()),
        ]
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        (self._folder / "users.txt").write_text(f'"{server.username or "postgres"}" "{server.password or ""}"\n')
        if self._user is not None:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)


@cache
def pgbouncer() -> str | None:
    """The path of the program; None if it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:{_FOLDERS}")


def _takes_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
