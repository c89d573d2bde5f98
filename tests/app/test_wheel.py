"""The wheels: the server serves from an empty folder, with nothing of the source on the path, and the library of the
clients, which it needs, stands on its own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.migrations import head
from tests.support.children import START_SECONDS_MAX, Child, free_port

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("app", "schema", "domain", "sandbox", "migrations")
#: The sources of a wheel; npm's packages are no part of it.
SOURCES: Final = (*PACKAGES, "seatsaga.py", "pyproject.toml", "README.md", "LICENSE")
SECONDS_MAX: Final = 120
BOOK: Final = """
mutation($input: BookFlightInput!) {
  bookFlight(input: $input) { saga { correlationId } errors { ... on UserError { message } } }
}"""
WATCH: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 30) { status booking { reference } } }"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `seatsaga` of a fresh environment in which the wheel is installed, beside what it needs."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this environment has no pip, so no wheel can be built; make one with: python -m venv")
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
        else:
            shutil.copy(source, tree / name)
    library = tree / "clients" / "python"
    shutil.copytree(ROOT / "clients" / "python", library, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    offline = ("--no-deps", "--no-index")
    pip(folder, "wheel", *offline, "--no-build-isolation", "--wheel-dir", "dist", str(tree), str(library))
    wheels = [str(wheel) for wheel in (folder / "dist").glob("*.whl")]
    assert len(wheels) == 2
    fresh = folder / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh], check=True, timeout=SECONDS_MAX)
    pip(folder, "--python", str(fresh / "bin" / "python"), "install", *offline, *wheels)
    (packages,) = fresh.glob("lib/python*/site-packages")
    # The libraries are those of this environment; what it says of an editable seatsaga is not read from there.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return fresh / "bin" / "seatsaga"


def pip(folder: Path, *arguments: str) -> None:
    """Run pip without a network; fails with what it said."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert ended.returncode == 0, ended.stderr


def bare(**settings: str) -> dict[str, str]:
    """An environment that says nothing of seatsaga, nor where Python finds packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEATSAGA_", "PYTHON"))}
    return kept | settings


def run(command: Path, *arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the installed wheel to its end."""
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=bare(**settings),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def serve(command: Path, folder: Path, output: Path) -> Child:
    """`seatsaga serve` in `folder`, with nothing set."""
    port = free_port()
    with output.open("wb") as out:
        started = [str(command), "serve", "--port", str(port)]
        process = subprocess.Popen(started, cwd=folder, env=bare(), stdout=out, stderr=subprocess.STDOUT)
    return Child(process, port, output)


async def ask(child: Child, query: str, **variables: Any) -> Any:
    """The data of an answer over HTTP."""
    async with httpx.AsyncClient(timeout=START_SECONDS_MAX + SECONDS_MAX) as client:
        answer = await client.post(f"{child.url}/graphql", json={"query": query, "variables": variables})
    body = answer.json()
    assert "errors" not in body, body
    return body["data"]


async def test_the_installed_wheel_serves_and_books_from_an_empty_folder(command: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    child = serve(command, folder, tmp_path / "output.txt")
    try:
        await child.ready()
        flights = await ask(child, "{ flights(first: 1) { edges { node { id } } } }")
        flight_id = flights["flights"]["edges"][0]["node"]["id"]
        correlation_id = str(uuid.uuid4())
        given = {
            "correlationId": correlation_id,
            "segments": [{"flightId": flight_id}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        }
        booked = await ask(child, BOOK, input=given)
        assert booked["bookFlight"]["errors"] == []
        over = await ask(child, WATCH, id=correlation_id)
        assert over["saga"]["status"] == "COMPLETED"
        assert len(over["saga"]["booking"]["reference"]) == 6
        assert await asyncio.to_thread(child.terminate) == 0
    finally:
        if child.process.poll() is None:
            child.kill()
    assert sorted(path.name for path in folder.iterdir()) == ["data", "logs"]


def test_it_brings_its_migrations_and_the_schema(command: Path, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'own.db'}"
    migrated = run(command, "migrate", folder=tmp_path, SEATSAGA_DATABASE_URL=url)
    assert migrated.returncode == 0, migrated.stderr
    assert head() in migrated.stdout + migrated.stderr
    shown = run(command, "schema", folder=tmp_path)
    assert shown.stdout == (ROOT / "schema" / "schema.graphql").read_text()


def test_it_names_its_license(command: Path, tmp_path: Path) -> None:
    (described,) = command.parents[1].glob("lib/python*/site-packages/seatsaga-*.dist-info")
    assert "License-Expression: Apache-2.0\n" in (described / "METADATA").read_text()
    assert (described / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_says_its_version_and_helps_in_one_letter(command: Path, tmp_path: Path) -> None:
    assert run(command, "--version", folder=tmp_path).stdout == "seatsaga 0.1.0\n"
    for arguments in (["-h"], ["sagas", "-h"], ["serve", "-h"]):
        helped = run(command, *arguments, folder=tmp_path)
        assert helped.returncode == 0
        assert "Usage: seatsaga" in helped.stdout


def test_a_shell_completes_its_commands(command: Path, tmp_path: Path) -> None:
    asked = {"_SEATSAGA_COMPLETE": "complete_bash", "COMP_WORDS": "seatsaga re", "COMP_CWORD": "1"}
    assert run(command, folder=tmp_path, **asked).stdout.split() == ["restore", "reconcile", "replicas"]


def test_the_client_library_needs_nothing_of_the_server(command: Path, tmp_path: Path) -> None:
    program = """
import sys, typing
import seatsaga_client
print(typing.get_type_hints(seatsaga_client.Client.book)["return"].__name__)
print([name for name in ("app", "schema", "domain", "sandbox", "strawberry", "sqlalchemy") if name in sys.modules])
"""
    shown = run(command.with_name("python"), "-c", program, folder=tmp_path)
    assert shown.stdout.splitlines() == ["Saga", "[]"], shown.stderr
    (typed,) = command.parents[1].glob("lib/python*/site-packages/seatsaga_client/py.typed")
    assert typed.exists()


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("is_file", [False, True])
def test_a_foreign_package_that_comes_first_ends_the_start_in_one_line(
    command: Path, tmp_path: Path, name: str, is_file: bool
) -> None:
    foreign = tmp_path / "foreign"
    found = foreign / f"{name}.py" if is_file else foreign / name / "__init__.py"
    found.parent.mkdir(parents=True)
    found.write_text("raise SystemExit('the foreign package was imported')")
    ended = run(command, "serve", folder=tmp_path, PYTHONPATH=str(foreign))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"seatsaga: Python would import {found} as seatsaga's package '{name}'")
    assert "PYTHONPATH" in line
