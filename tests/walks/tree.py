"""A copy of the sources, to change them as a contributor would, and to run them there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

__all__ = ["ROOT", "Tree"]

ROOT: Final = Path(__file__).parents[2]
_FOLDERS: Final = (
    "app", "bench", "clients", "cluster", "console", "domain", "migrations", "sandbox", "schema", "tests",
)  # fmt: skip
_FILES: Final = ("alembic.ini", "pyproject.toml", "seatsaga.py")
#: Nothing of it depends on the sources that a walk changes. The console's build is one of them: it asks the API for
#: the sagas, and no source of the console is changed.
_LINKED: Final = (".venv", "app/console/static", "console/node_modules")
#: It saves a minute; without it mypy checks everything anew.
_CACHE: Final = ".mypy_cache"
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "node_modules", "generated", "__generated__", "static")
SECONDS_MAX: Final = 300


class Tree:
    """A copy of the sources in `folder`. What it runs imports them and nothing of the originals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        for name in _FOLDERS:
            shutil.copytree(ROOT / name, self.folder / name, ignore=_LEFT_OUT)
        for name in _FILES:
            shutil.copy2(ROOT / name, self.folder / name)
        if (ROOT / _CACHE).is_dir():
            shutil.copytree(ROOT / _CACHE, self.folder / _CACHE)
        for name in _LINKED:
            if (ROOT / name).is_dir():
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / name).symlink_to(ROOT / name)

    def touched(self) -> set[str]:
        """The files that differ from the originals, or are new; not those that tools leave behind."""
        return {str(path.relative_to(self.folder)) for path in self._sources() if self._differs(path)}

    def run(self, *command: str, within: str = ".") -> str:
        """Run to the end; what it said. Fails, with that, where its exit code is not 0."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        ended = subprocess.run(
            command,
            cwd=self.folder / within,
            env=inherited | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        if ended.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}", pytrace=False)
        return ended.stdout

    def pytest(self, *arguments: str) -> None:
        """Run tests of the copy, on SQLite."""
        self.run(".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not postgresql", *arguments)

    def _sources(self) -> list[Path]:
        found: list[Path] = []
        for folder in _FOLDERS:
            for parent, folders, files in os.walk(self.folder / folder):
                folders[:] = [name for name in folders if name not in _LEFT_OUT(parent, folders)]
                found += [Path(parent) / name for name in files]
        return found

    def _differs(self, path: Path) -> bool:
        original = ROOT / path.relative_to(self.folder)
        return not original.is_file() or original.read_bytes() != path.read_bytes()
