"""Replicas as processes: `seatsaga serve`, each with a folder, a port and logs of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import httpx

from cluster.processes import free_port, start

__all__ = ["Process", "Replica", "Start", "environment", "replicas", "started_anew"]

START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0
LOOK_SECONDS: Final = 0.05
_ROOT: Final = Path(__file__).parents[1]


class Process(Protocol):
    """A process that was started; a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...


class Start(Protocol):
    """Starts `seatsaga` with these arguments; its output is appended to `output`."""

    def __call__(
        self, arguments: Sequence[str], *, output: Path, folder: Path, environment: Mapping[str, str]
    ) -> Process: ...


def started_anew(
    arguments: Sequence[str], *, output: Path, folder: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """By an interpreter of its own."""
    return start([sys.executable, "-m", "app", *arguments], output=output, folder=folder, environment=environment)


def environment(folder: Path, database_url: str, **settings: object) -> dict[str, str]:
    """The environment of a seatsaga process on this database, without the settings of our own environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SEATSAGA_")}
    own = {
        "SEATSAGA_DATABASE_URL": database_url,
        "SEATSAGA_LOG_DIR": str(folder / "logs"),
        "PYTHONPATH": str(_ROOT),
        "COLUMNS": "160",
    }
    return inherited | own | {f"SEATSAGA_{name.upper()}": str(value) for name, value in settings.items()}


class Replica:
    """One process, at one port for all its lives. Use it on the main thread, as its death follows the thread's."""

    def __init__(self, folder: Path, told: Mapping[str, str], start: Start = started_anew) -> None:
        self.port = free_port()
        self.folder = folder
        self._told = told
        self._start = start
        self._process: Process | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def url(self) -> str:
        """As HTTP clients want it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the present process, or of the last."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether the process exists, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> Path:
        """The console output of all its processes."""
        return self.folder / "output.txt"

    def start(self) -> None:
        """A new process; `ready` says when it serves."""
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = ["serve", "--port", str(self.port)]
        self._process = self._start(arguments, output=self.output, folder=self.folder, environment=self._told)

    async def ready(self) -> None:
        """Return once it answers that it is ready; RuntimeError where it ends, or takes too long."""
        deadline = time.monotonic() + START_SECONDS_MAX
        async with httpx.AsyncClient(timeout=STOP_SECONDS_MAX) as client:
            while True:
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                if not self.runs or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the replica does not serve:\n{self.output.read_text(errors='replace')[-4000:]}"
                    )
                await asyncio.sleep(LOOK_SECONDS)

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        assert self._process is not None, "it was never started"
        self._process.kill()
        self._process.wait(STOP_SECONDS_MAX)

    def pause(self) -> None:
        """SIGSTOP: it is there, keeps its connections and its locks, and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM; the exit code. One that does not end is killed."""
        assert self._process is not None, "it was never started"
        self._process.terminate()
        self.resume()
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@asynccontextmanager
async def replicas(
    folder: Path, database_urls: Sequence[str], start: Start = started_anew, /, **settings: object
) -> AsyncIterator[list[Replica]]:
    """A replica for each database URL, all ready; killed when the block ends."""
    names = [f"replica-{number}" for number in range(1, len(database_urls) + 1)]
    found = [
        Replica(folder / name, environment(folder / name, url, **settings), start)
        for name, url in zip(names, database_urls, strict=True)
    ]
    try:
        for replica in found:
            replica.start()
        await asyncio.gather(*(replica.ready() for replica in found))
        yield found
    finally:
        for replica in found:
            if replica.runs:
                replica.kill()
