"""`python -m app` without its imports: each process is forked from one that has the libraries already.

::

    test ── arguments, environment, folder, descriptors ──▶ forker ──fork──▶ the command, a process of its own
         ◀── its pid, then how it ended ──────────────────┘

The command's process has what it would have otherwise: its own pid, signals, environment, folder
and output, no module of `app.commands` yet, and an interpreter that shuts down as any does. It takes
0.1 s of a processor, where the imports take a second or more.
Where the environment asks for another interpreter (PYTHON*, LD_*, the time zone), there is nothing to fork.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tests.support.unprivileged import give_up_rights

__all__ = ["Forked", "fork", "is_warm"]

_ROOT: Final = Path(__file__).parents[2]
_REQUEST_BYTES_MAX: Final = 200_000
_ANSWER_BYTES_MAX: Final = 64
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None)
#: What an interpreter reads when it starts.
_READ_AT_START: Final = ("PYTHON", "LD_", "FAKETIME", "LC_", "LANG", "MALLOC_", "OPENSSL_", "SSL_")
#: Not app.commands: what a command imports it finds by itself.
_IMPORTED: Final = (
    "app.client",
    "app.main",
    "app.migrations",
    "app.settings",
    "aiosqlite",
    "asyncpg",
    "httptools",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "typer.rich_utils",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)


def is_warm(env: Mapping[str, str]) -> bool:
    """Whether a process with this environment can be forked: nothing in it is for an interpreter that starts.

    Only Linux has what the forker needs.
    """
    return hasattr(os, "pidfd_open") and _for_the_start(env) == _for_the_start(_environment())


class Forked:
    """A process, as `subprocess.Popen` has it."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self.pid: int = json.loads(answers.recv(_ANSWER_BYTES_MAX))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, below 0 by a signal; None while it runs."""
        with self._lock:
            if self.returncode is None and select.select([self._answers], [], [], 0)[0]:
                self.returncode = os.waitstatus_to_exitcode(json.loads(self._answers.recv(_ANSWER_BYTES_MAX)))
                self._answers.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, once it has. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired("app", timeout or 0)
            _wait_for(self._answers, left)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)


def fork(
    arguments: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    *,
    stdout: int,
    stderr: int,
    unprivileged: bool = False,
) -> Forked:
    """Run `python -m app` with these arguments; the descriptors stay open here. Its input is empty.

    It has a session of its own, and does not outlive the tests. If `unprivileged`, it has the rights of its user's id.
    """
    assert is_warm(env), "it would not have the interpreter that its environment asks for"
    request = json.dumps(
        {"arguments": list(arguments), "env": dict(env), "folder": str(folder), "unprivileged": unprivileged}
    ).encode()
    assert len(request) <= _REQUEST_BYTES_MAX
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(_forker(), [request], [theirs.fileno(), stdout, stderr])
    return Forked(ours)


@cache
def _forker() -> socket.socket:
    """What processes are asked for by. The process behind it ends when it is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(theirs.fileno())],
            cwd=_ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(_ROOT)}


def _for_the_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START) or name == "TZ"}


def _wait_for(answers: socket.socket, seconds: float | None) -> None:
    """Until there is an answer; another thread may have taken it meanwhile."""
    try:
        select.select([answers], [], [], seconds)
    except (OSError, ValueError):
        if answers.fileno() >= 0:
            raise


# ---------------------------------------------------------------------- the forker


def _forked(control: int) -> list[str] | None:
    """Fork for each request, and tell how each process ended.

    Returns in each process the arguments of its command; None in the forker, once nobody asks any more. All
    descriptors are numbers: an object left from the forker would close what the command opens under its number.
    """
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    answers: dict[int, tuple[int, int]] = {}
    forker = os.getpid()
    while True:
        for found, _ in waiting.poll():
            if found != control:
                waiting.unregister(found)
                pid, answer = answers.pop(found)
                _, status = os.waitpid(pid, 0)
                os.close(found)
                _tell(answer, status)
                os.close(answer)
                continue
            asked = socket.socket(fileno=control)
            request, descriptors, _, _ = socket.recv_fds(asked, _REQUEST_BYTES_MAX, 3)
            asked.detach()
            if not request:
                return None
            pid = os.fork()
            if pid == 0:
                return _become(json.loads(request), descriptors, forker)
            answer, *others = descriptors
            for descriptor in others:
                os.close(descriptor)
            ended = os.pidfd_open(pid)
            answers[ended] = (pid, answer)
            waiting.register(ended, select.POLLIN)
            _tell(answer, pid)


def _tell(answer: int, number: int) -> None:
    # Whoever asked may have gone.
    with suppress(BrokenPipeError):
        os.write(answer, json.dumps(number).encode())


def _become(request: dict[str, Any], descriptors: list[int], forker: int) -> list[str]:
    """Be the process that was asked for, up to its first line of Python."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _, stdout, stderr = descriptors
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.setsid()
    if request["unprivileged"]:
        give_up_rights()
    # The forker ends with the tests, and may have ended already.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != forker:
        os._exit(1)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    arguments: list[str] = request["arguments"]
    return arguments


if __name__ == "__main__":
    # A Ctrl-C is for the tests, which end this process when they end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _name in _IMPORTED:
        import_module(_name)
    # Else each process would copy all of it to collect it at its end: half a second.
    gc.collect()
    gc.freeze()
    _arguments = _forked(int(sys.argv[1]))
    if _arguments is not None:
        sys.argv = ["app", *_arguments]
        runpy.run_module("app", run_name="__main__", alter_sys=True)
