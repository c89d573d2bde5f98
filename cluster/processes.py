"""Child processes that end with the process that started them, and their ports."""

from __future__ import annotations

import ctypes
import os
import pwd
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["become", "free_port", "start"]

#: Below the system's range for outgoing connections, so that a restarted server finds its port still free.
_PORTS: Final = range(20_000, 32_000)
_PORT_TRIES_MAX: Final = 100
_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None)


def start(
    command: Sequence[str | Path],
    *,
    output: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    user: pwd.struct_passwd | None = None,
    at_death: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Run `command` in `folder`, as `user` if one is given; its output is appended to `output`.

    The kernel sends it the signal `at_death` when the thread that started it ends for any reason, so
    call this on the main thread. It has its own session, so Ctrl-C reaches only the starter.
    """
    parent = os.getpid()

    def prepare() -> None:
        become(user)
        # A change of user would reset it, so it comes last. The parent may have ended already.
        _libc.prctl(_PR_SET_PDEATHSIG, at_death)
        if os.getppid() != parent:
            os._exit(1)

    with output.open("ab") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
        )


def become(user: pwd.struct_passwd | None) -> None:
    """In a child: drop to `user`."""
    if user is not None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)


def free_port() -> int:
    """A loopback port that is free and outside the range of outgoing connections."""
    for _ in range(_PORT_TRIES_MAX):
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("there is no free port on 127.0.0.1")
