"""A real server's log: its reader goes away or does not read, its files are rotated or removed, lines say who asked."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest

from tests.app.airline import Exposition
from tests.app.whole import ADMIN_TOKEN, fill, whole
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.identity import claims
from tests.support.required import require
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

OPERATIONS: Final = Path(__file__).parents[2] / "docs" / "operations.md"
SECRET: Final = "a secret of thirty-two characters!!"
PIPE_BYTES: Final = 65_536


@pytest.fixture
async def url(sqlite_template: Path, tmp_path: Path) -> str:
    url = f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, tmp_path / 'seatsaga.db')}"
    await fill(url)
    return url


@asynccontextmanager
async def served(
    folder: Path, url: str, *, stderr: int = subprocess.STDOUT, **settings: str
) -> AsyncIterator[tuple[Child, httpx.AsyncClient]]:
    env = environment(folder, url, admin_token=ADMIN_TOKEN, **settings)
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with (
        serving_child(folder, env, stderr=stderr) as child,
        httpx.AsyncClient(base_url=child.url, headers=bearer, timeout=10) as client,
    ):
        yield child, client


async def ask(client: httpx.AsyncClient, numbers: Iterable[int]) -> None:
    """Requests that make a line each, `/line/NUMBER`."""
    for number in numbers:
        assert (await client.get(f"/line/{number}/{'x' * 150}")).status_code == 404


def asked(*files: Path) -> list[int]:
    """The numbers of the lines in these files."""
    return [int(number) for file in files for number in re.findall(r"GET /line/(\d+)/", file.read_text())]


def has_line(number: int, *files: Path) -> bool:
    return number in asked(*(file for file in files if file.exists()))


async def warning(client: httpx.AsyncClient) -> str | None:
    warnings: dict[str, str] = (await client.get("/readyz")).json().get("warnings", {})
    return warnings.get("log")


async def sample(client: httpx.AsyncClient, name: str, sink: str) -> float | None:
    return Exposition((await client.get("/metrics")).text)(name, sink=sink)


# ---------------------------------------------------------------------- standard error


async def test_a_closed_standard_error_stops_itself_alone(url: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, stderr=writing) as (child, client):
        os.close(writing)
        os.close(reading)
        await ask(client, range(10))
        said = await eventually(partial(warning, client))
        await ask(client, range(10, 20))
        await eventually(partial(has_line, 19, log))
        assert said == "stderr cannot be written: Broken pipe; 0 lines are lost since the start"
        assert await sample(client, "seatsaga_log_sink_ok", "stderr") == 0
        assert await sample(client, "seatsaga_log_sink_ok", log.name) == 1
        assert child.terminate() == 0
    assert asked(log) == list(range(20))
    assert "stderr cannot be written: Broken pipe." in log.read_text()


async def test_a_reader_that_does_not_read_stalls_nobody_and_hears_what_it_missed(url: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, stderr=writing) as (child, client):
        os.close(writing)
        requests = 0
        while not await sample(client, "seatsaga_log_lines_dropped_total", "stderr"):
            await ask(client, range(requests, requests + 250))
            requests += 250
        await ask(client, [requests])
        await eventually(partial(has_line, requests, log))
        said = await eventually(partial(warning, client))
        assert said is not None
        assert said.startswith("stderr cannot be written: its reader or its disk hangs; ")
        assert asked(log) == list(range(requests + 1))
        assert await sample(client, "seatsaga_log_lines_dropped_total", log.name) == 0

        heard = bytearray()
        os.set_blocking(reading, False)

        def drained() -> bool:
            while True:
                try:
                    heard.extend(os.read(reading, PIPE_BYTES))
                except BlockingIOError:
                    return b"stderr can be written again" in heard

        await eventually(drained)
        lost = await sample(client, "seatsaga_log_lines_dropped_total", "stderr")
        assert lost
        assert f"stderr can be written again; {lost:.0f} lines were lost." in log.read_text()
        assert child.terminate() == 0
        os.close(reading)


async def test_a_server_ends_though_nobody_reads_its_standard_error(url: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, stderr=writing) as (child, client):
        os.close(writing)
        await ask(client, range(400))
        await eventually(partial(has_line, 399, log))
        assert child.terminate() == 0
        os.close(reading)


async def test_without_a_folder_there_is_standard_error_alone(url: str, tmp_path: Path) -> None:
    async with served(tmp_path, url, log_dir="-") as (child, client):
        await ask(client, range(3))
        assert child.terminate() == 0
    assert asked(child.output) == [0, 1, 2]
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "-").exists()


# ---------------------------------------------------------------------- rotation


def renamed(log: Path, child: Child) -> None:
    log.rename(log.with_name("rotated"))


def created(log: Path, child: Child) -> None:
    renamed(log, child)
    log.touch()


def signalled(log: Path, child: Child) -> None:
    created(log, child)
    child.process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("rotate", [renamed, created, signalled])
async def test_a_file_that_is_renamed_under_load_has_no_hole(
    url: str, tmp_path: Path, rotate: Callable[[Path, Child], None]
) -> None:
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, log_file_bytes_max="0") as (child, client):
        asking = asyncio.create_task(ask(client, range(300)))
        await eventually(partial(has_line, 20, log))
        rotate(log, child)
        await asking
        await ask(client, [300])
        await eventually(partial(has_line, 300, log))
        assert child.terminate() == 0
    rotated = log.with_name("rotated")
    assert asked(rotated, log) == list(range(301))
    assert asked(log)


async def test_a_file_that_is_copied_and_truncated_goes_on_from_its_new_end(url: str, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, log_file_bytes_max="0") as (child, client):
        await ask(client, range(20))
        await eventually(partial(has_line, 19, log))
        copy = Path(shutil.copy(log, log.with_name("copy")))
        os.truncate(log, 0)
        await ask(client, range(20, 40))
        await eventually(partial(has_line, 39, log))
        assert child.terminate() == 0
    assert asked(copy, log) == list(range(40))
    assert b"\0" not in log.read_bytes()


async def test_a_folder_that_is_removed_is_made_anew(url: str, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url) as (child, client):
        await ask(client, [0])
        await eventually(partial(has_line, 0, log))
        shutil.rmtree(log.parent)
        await ask(client, [1])
        await eventually(partial(has_line, 1, log))
        assert child.terminate() == 0
    assert log.stat().st_mode & 0o777 == 0o600


async def test_what_the_documentation_gives_logrotate_works(url: str, tmp_path: Path) -> None:
    logrotate = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
    require("LOGROTATE", None if logrotate else "logrotate is not installed; get it with: apt-get install logrotate")
    assert logrotate is not None
    log = tmp_path / "logs" / "saga_orchestrator.log"
    async with served(tmp_path, url, log_file_bytes_max="0") as (child, client):
        [snippet] = re.findall(r"^```\n(/srv/seatsaga/logs/.*?)^```", OPERATIONS.read_text(), re.DOTALL | re.MULTILINE)
        told = snippet.replace("/srv/seatsaga/logs", str(log.parent)).replace("0600 seatsaga seatsaga", "0600")
        told = told.replace("    su seatsaga seatsaga\n", "")
        told = told.replace("systemctl kill --signal=HUP seatsaga.service", f"kill -HUP {child.process.pid}")
        configuration = tmp_path / "logrotate.conf"
        configuration.write_text(told)
        configuration.chmod(0o644)
        await ask(client, range(20))
        await eventually(partial(has_line, 19, log))
        done = await asyncio.to_thread(
            subprocess.run,
            [logrotate, "--force", "--state", str(tmp_path / "state"), str(configuration)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        await ask(client, range(20, 40))
        await eventually(partial(has_line, 39, log))
        assert child.terminate() == 0
    assert asked(log.with_name(f"{log.name}.1")) == list(range(20))
    assert asked(log) == list(range(20, 40))


# ---------------------------------------------------------------------- who


async def test_lines_say_who_asked_for_what_from_where_and_which_replica_says_it(
    sqlite_template: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"auth": "jwt", "jwt_secret": SECRET, "log_format": "json", "admin_token": None}
    async with whole(sqlite_template, tmp_path, **settings) as seats:
        ada = {"authorization": f"Bearer {jwt.encode(claims(sub='ada@example.com'), SECRET, algorithm='HS256')}"}
        root = {
            "authorization": f"Bearer {jwt.encode(claims(sub='grace', role='operator'), SECRET, algorithm='HS256')}"
        }
        flights = "query Look { flights(first: 1) { edges { node { id } } } }"
        body = {"query": flights, "operationName": "Look"}
        [found] = (await seats.http.post("/graphql", json=body, headers=ada)).json()["data"]["flights"]["edges"]
        order = {
            "correlationId": "0198c0de-0000-7000-8000-000000000001",
            "segments": [{"flightId": found["node"]["id"]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
            "payment": {"token": "pm_card_visa"},
        }
        book = "mutation Book($input: BookFlightInput!) { bookFlight(input: $input) { saga { status } } }"
        await seats.http.post("/graphql", json={"query": book, "variables": {"input": order}}, headers=ada)
        await seats.http.get("/admin/scheduler", headers=root)
        await seats.http.get("/admin/scheduler", headers=ada)
        await seats.http.get("/admin/scheduler")
        async with open_socket(seats.served, **ada) as socket:
            await socket.initialise()
            await socket.subscribe("1", "query Live { __typename }", operationName="Live")
            assert (await socket.receive())["type"] == "next"
        bookings = tmp_path / "logs" / "saga_bookings.log"
        await eventually(bookings.read_text)
        log = tmp_path / "logs" / "saga_orchestrator.log"
        await eventually(lambda: '"operation":"Live"' in log.read_text())
        replica = seats.app.state.backend.engine.replica.id

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(line["replica"], "release" in line) for line in lines} == {(replica, True)}
    env = environment(tmp_path, auth="jwt", jwt_secret=SECRET)
    named = (await asyncio.to_thread(seatsaga, "log-subject", "ada@example.com", env=env, folder=tmp_path)).stdout
    assert re.fullmatch(r"#[0-9a-f]{16}\n", named)
    hashed = named.strip()
    assert "ada@example.com" not in log.read_text() + bookings.read_text()
    of_saga = [line for line in lines if line.get("correlation_id") == order["correlationId"]]
    assert len(of_saga) > 10
    assert {line["subject"] for line in of_saga} == {hashed}
    assert json.loads(bookings.read_text())["subject"] == hashed
    requests = {
        (line["message"].split(" -> ")[0], line.get("subject"), line.get("operation"), line["remote"])
        for line in lines
        if " -> " in line["message"]
    }
    assert requests == {
        ("POST /graphql Look", hashed, "Look", "127.0.0.1"),
        ("POST /graphql Book", hashed, "Book", "127.0.0.1"),
        ("WS /graphql Live", hashed, "Live", "127.0.0.1"),
        ("WS /graphql", hashed, None, "127.0.0.1"),
        ("GET /admin/scheduler", "grace", None, "127.0.0.1"),
        ("GET /admin/scheduler", hashed, None, "127.0.0.1"),
        ("GET /admin/scheduler", None, None, "127.0.0.1"),
    }
