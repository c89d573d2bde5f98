"""seatsaga as its users run it: a child process on a free loopback port, ended by its own id."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cluster.replicas import started_anew
from tests.support.unprivileged import give_up_rights
from tests.support.warm import Forked, fork, is_warm

__all__ = ["Child", "environment", "fill", "free_port", "seatsaga", "seatsaga_anew", "serving_child", "started"]

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
COMMAND_SECONDS_MAX = 120.0
_ROOT = Path(__file__).parents[2]


def environment(folder: Path, database_url: str | None = None, **settings: str) -> dict[str, str]:
    """The environment of a child that keeps everything in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEATSAGA_")}
    own = {
        "SEATSAGA_DATABASE_URL": database_url or f"sqlite+aiosqlite:///{folder / 'data' / 'seatsaga.db'}",
        "SEATSAGA_LOG_DIR": str(folder / "logs"),
        "PYTHONPATH": str(_ROOT),
        "COLUMNS": "160",
    }
    return inherited | own | {f"SEATSAGA_{name.upper()}": value for name, value in settings.items()}


def seatsaga(
    *arguments: str, env: Mapping[str, str], folder: Path, unprivileged: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in a process of its own that has its libraries already where that is the same.

    If `unprivileged`, it has no more rights than its user's id gives.
    """
    if is_warm(env):
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            child = fork(arguments, env, folder, stdout=out.fileno(), stderr=errors.fileno(), unprivileged=unprivileged)
            try:
                code = child.wait(COMMAND_SECONDS_MAX)
            finally:
                child.kill()
            out.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(["seatsaga", *arguments], code, out.read(), errors.read())
    return seatsaga_anew(*arguments, env=env, folder=folder, first=give_up_rights if unprivileged else None)


def seatsaga_anew(
    *arguments: str, env: Mapping[str, str], folder: Path, first: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `seatsaga`, by an interpreter that has imported nothing yet; the child calls `first` before it begins."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env=dict(env),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
        preexec_fn=first,
    )


def fill(env: Mapping[str, str], folder: Path) -> None:
    """Bring the schema and the demo timetable, as the operator of a server with tokens does."""
    for command in ("migrate", "seed"):
        ended = seatsaga(command, env=env, folder=folder)
        assert ended.returncode == 0, ended.stderr


@dataclass
class Child:
    """A serving process."""

    process: subprocess.Popen[bytes] | Forked
    port: int
    output: Path

    @property
    def url(self) -> str:
        """As HTTP clients want it."""
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    async def ready(self) -> None:
        """Return once it answers that it is ready; fails with what it said where it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS_MAX
        async with httpx.AsyncClient() as client:
            while True:
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                said = self.output.read_text(errors="replace")
                assert self.process.poll() is None, said
                assert time.monotonic() < deadline, said
                await asyncio.sleep(0.02)


@asynccontextmanager
async def serving_child(
    folder: Path,
    env: Mapping[str, str],
    *,
    port: int | None = None,
    stderr: int = subprocess.STDOUT,
    module: str = "app",
) -> AsyncIterator[Child]:
    """`seatsaga serve` until the block ends, whichever way; on a free port where none is named.

    `stderr`: the descriptor of its standard error, where that is not to be with its output.
    `module`: another that runs the command line.
    """
    port = port or free_port()
    output = folder / f"output-{port}.txt"
    child = Child(_start(port, output, env, folder, stderr, module), port, output)
    try:
        await child.ready()
        yield child
    finally:
        if child.process.poll() is None:
            child.kill()


def started(
    arguments: Sequence[str], *, output: Path, folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes] | Forked:
    """A command that runs on; as `cluster.replicas.started_anew`, with its libraries there where that is the same."""
    if not is_warm(environment):
        return started_anew(arguments, output=output, folder=folder, environment=environment)
    with output.open("ab") as out:
        return fork(arguments, environment, folder, stdout=out.fileno(), stderr=out.fileno())


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(
    port: int, output: Path, env: Mapping[str, str], folder: Path, stderr: int, module: str
) -> subprocess.Popen[bytes] | Forked:
    with output.open("wb") as out:
        if module == "app" and is_warm(env):
            descriptor = out.fileno()
            arguments = ["serve", "--port", str(port)]
            return fork(
                arguments, env, folder, stdout=descriptor, stderr=descriptor if stderr == subprocess.STDOUT else stderr
            )
        return subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--port", str(port)],
            env=dict(env),
            cwd=folder,
            stdout=out,
            stderr=stderr,
        )
