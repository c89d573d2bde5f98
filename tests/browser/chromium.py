"""What the stories need: a Chromium that starts, Node, the packages of the frontend, and the built console."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from app.http.console import Console

__all__ = ["CONSOLE", "chromium", "missing"]

CONSOLE: Final = Path(__file__).parents[2] / "console"
#: The first has no window to draw, and so needs less of the processor.
_NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_SECONDS_MAX: Final = 20


def missing() -> str | None:
    """Why the stories cannot be told here; None where they can."""
    if shutil.which("node") is None:
        return "The stories need Node 20.19 or newer, and npm."
    if not (CONSOLE / "node_modules" / "playwright-core").is_dir() or not Console().is_built:
        return "The console is not built; run: make setup"
    if chromium() is None:
        return "The stories need Chromium: apt-get install chromium-headless-shell, or set SEATSAGA_TEST_CHROMIUM."
    return None


@cache
def chromium() -> str | None:
    """The path of a Chromium that starts; None where there is none."""
    named = os.environ.get("SEATSAGA_TEST_CHROMIUM")
    paths = [named] if named else [path for path in map(shutil.which, _NAMES) if path is not None]
    return next((path for path in paths if _starts(path)), None)


def _starts(path: str) -> bool:
    """Some systems have only a stub, which says where to get the real one."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0
