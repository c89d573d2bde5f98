"""What `make` promises that no other test sees: which Python it uses, what `make smoke` holds, what the locks name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = "clients/python"
THIS: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


def make(folder: Path, *arguments: str) -> str:
    """What make would run for these arguments in `folder`, which has our Makefile."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "clients" / "python").mkdir(parents=True)
    for name in ("pyproject.toml", "requirements.lock", "clients/python/pyproject.toml"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    return run("--dry-run", *arguments, folder=folder)


def run(*arguments: str, folder: Path, text: str = "") -> str:
    """What make says; nothing that an outer make was given reaches it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    command = ["make", *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=env, input=text, capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout


def environment(folder: Path, version: str, *, is_complete: bool) -> None:
    """A `.venv` in `folder` whose Python says that it is `version`."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(0o755)
    if is_complete:
        (folder / ".venv" / f".complete-{version}").touch()


def test_an_environment_of_another_python_is_made_anew(tmp_path: Path) -> None:
    environment(tmp_path, "3.99", is_complete=True)
    planned = make(tmp_path, ".venv/.complete-" + THIS, f"PYTHON={sys.executable}")
    assert f"Making .venv anew with Python {THIS}." in planned
    assert "rm -rf .venv" in planned


def test_without_python_the_environment_that_is_there_stays(tmp_path: Path) -> None:
    environment(tmp_path, "3.99", is_complete=True)
    assert "up to date" in make(tmp_path, ".venv/.complete-3.99")


def test_smoke_has_a_test_of_every_room() -> None:
    smoke = re.split(r"\s+", make_variable("SMOKE"))
    assert all((ROOT / path.partition("::")[0]).exists() for path in smoke), smoke
    rooms = {path.name for path in (ROOT / "tests" / "domain").iterdir() if any(path.glob("test_*.py"))}
    assert rooms <= {Path(path).parts[2] for path in smoke if path.startswith("tests/domain/")}


def make_variable(name: str) -> str:
    """The value of a variable of the Makefile."""
    asking = f"include Makefile\nshown:\n\t@echo $({name})\n"
    return run("--silent", "--file=-", "shown", folder=ROOT, text=asking).strip()


def test_the_client_library_has_the_version_that_the_server_asks_for() -> None:
    server, library = (tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"] for path in (".", CLIENT))
    assert library["version"] == server["version"]
    assert f"seatsaga-client=={library['version']}" in server["dependencies"]
    assert (ROOT / CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("path", ["requirements.lock", "bench/dbos/requirements.lock"])
def test_a_lock_of_python_names_no_index_and_has_a_hash_for_everything(path: str) -> None:
    text = (ROOT / path).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=[a-z])", text)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


def test_a_lock_of_npm_names_no_registry() -> None:
    found = [path for folder in ("*", "*/*", "*/*/*") for path in ROOT.glob(f"{folder}/package-lock.json")]
    locks = [path for path in found if "node_modules" not in path.parts]
    assert len(locks) == 2
    for lock in locks:
        packages = json.loads(lock.read_text())["packages"]
        assert not [name for name, package in packages.items() if "resolved" in package and "link" not in package], lock
        assert "omit-lockfile-registry-resolved=true" in (lock.parent / ".npmrc").read_text()
