"""The clients of clients/ as their users run them: built by npm, run by Node, ended with all that they started."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

__all__ = ["FOLLOW", "JavaScript", "missing", "run"]

SECONDS_MAX: Final = 120
_FOLDER: Final = Path(__file__).parents[2] / "clients"
_STAMP: Final = _FOLDER / "build" / ".complete"
_SOURCES: Final = [_FOLDER.parent / "schema" / "schema.graphql", *map(_FOLDER.joinpath, ("src", "follow/src"))]
_SOURCES.extend(_FOLDER / name for name in ("package.json", "codegen.ts", "relay.config.json", "compile-relay.js"))
#: The package @seatsaga/follow.
FOLLOW: Final = _FOLDER / "follow"


def missing() -> str | None:
    """Why the clients cannot run here; None where they can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "The clients need Node 20.19 or newer, and npm."
    if not ((_FOLDER / "node_modules" / ".complete").exists() and (_FOLDER / "node_modules/@seatsaga").exists()):
        return "The clients' packages are not installed; run: make clients"
    return None


class JavaScript:
    """The built clients."""

    @classmethod
    def built(cls) -> Self:
        """Generate the types and Relay's artifacts from schema/schema.graphql, and compile; fails as the build does.

        The first worker builds, and only if a source has changed.
        """
        with (_FOLDER / "node_modules" / ".building").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _STAMP.exists() or _STAMP.stat().st_mtime < max(map(_changed, _SOURCES)):
                began = time.time()
                run(["npm", "run", "--silent", "build"])
                _STAMP.touch()
                os.utime(_STAMP, (began, began))
        return cls()

    def run(self, name: str, heard: Callable[[str], None] = lambda line: None, **settings: str) -> str:
        """What one client said; fails with that where it does not exit 0. Settings are SEATSAGA_ variables."""
        env = {f"SEATSAGA_{setting.upper()}": value for setting, value in settings.items()}
        return run(["node", str(_FOLDER / "build" / f"{name}.js")], env, heard=heard)


def _changed(source: Path) -> float:
    """When a file, or a folder's newest file, was changed; what is generated does not count."""
    if source.is_file():
        return source.stat().st_mtime
    return max(_changed(inner) for inner in source.iterdir() if "generated" not in inner.name)


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    folder: Path = _FOLDER,
    heard: Callable[[str], None] = lambda line: None,
) -> str:
    """What a command said in a folder; fails with that where it does not exit 0. `heard` is told each line at once."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    late = threading.Timer(SECONDS_MAX, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    with process:
        for line in process.stdout:
            lines.append(line)
            heard(line)
    late.cancel()
    said = "".join(lines)
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode} (in {SECONDS_MAX} s):\n{said}"
    return said
