"""What people type, and what they send as headers, is data wherever it is read: in logs, on terminals, in tables."""

from __future__ import annotations

import ast
import asyncio
import json
import random
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.client import Client
from app.observability.lines import LogFormat
from tests.app.whole import ADMIN_TOKEN, fill
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.waiting import eventually

COMMANDS: Final = Path(__file__).parents[2] / "app" / "commands"
SEED: Final = 20_261_129
STRANGE: Final = (
    "\n2026-11-24T18:09:25.943Z [SAGA] 0198c0de-0000-7000-8000-000000000001: forged.",
    "\r\x1b[2K\x1b[31mred",
    "\x1b]0;title\x07\x1b]8;;http://evil\x1b\\",
    "\x85\x9b31m\u2028\u2029\x0b\x0c",
    "\u202eevil\u2066\u200b\ufeff",
    "\x00\x7f\x08\x08",
    "\ud800\udfff",
    '"}\n{"level":"error","message":"forged"}',
    "[/x][bold red]markup[/bold red][link=http://evil]:boom:",
    "x" * 3_000,
    " subject=operator replica=none ",
    "',;--${jndi:ldap://x}%s%n{0}",
)
LINE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[(?:SAGA|SAGA STEP|QUEUE|COMPENSATION|LOG)\] .* "
    r"replica=[0-9a-f-]{36} release=\S+"
)
FLIGHTS: Final = "{ flights(first: 1) { edges { node { id } } } }"
BOOK: Final = """mutation Book($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
SKIP: Final = """mutation Skip($id: UUID!, $reason: String!) {
  skipStep(input: {correlationId: $id, step: CONFIRM_BOOKING, reason: $reason}) {
    saga { status } errors { __typename ... on UserError { message path } } } }"""


def texts(number: int) -> Iterator[str]:
    """All that is strange, then so many mixtures of it."""
    yield from STRANGE
    chance = random.Random(SEED)
    alphabet = "".join(STRANGE) + "aé\u4e2d\U0001f6eb\u0301"
    for _ in range(number):
        yield "".join(chance.choices(alphabet, k=chance.randrange(1, 60)))


async def book(client: httpx.AsyncClient, flight_id: str, **changes: Any) -> httpx.Response:
    order = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        **changes,
    }
    return await post(client, BOOK, {"input": order}, "Book")


async def post(client: httpx.AsyncClient, query: str, variables: Any, name: str) -> httpx.Response:
    # By json.dumps, which sends lone surrogates as JSON can.
    body = json.dumps({"query": query, "variables": variables, "operationName": name})
    return await client.post("/graphql", content=body, headers={"content-type": "application/json"})


async def send_headers(child: Child, text: str) -> None:
    """A request and a handshake whose headers are as strange as bytes can be."""
    value = text.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    path = b"/" + re.sub(rb"[^!-~]", lambda found: b"%%%02X" % found.group()[0], value)
    for head in (
        b"GET "
        + path
        + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: %s\r\nX-Request-ID: %s\r\nReferer: %s" % ((value,) * 3),
        b"GET /graphql HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s" % (value, value),
        b"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://%s\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws" % value,
        b"%s / HTTP/1.1\r\nHost: 127.0.0.1" % value[:50],
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", child.port)
        writer.write(head + b"\r\nConnection: close\r\n\r\n" if b"Upgrade" not in head else head + b"\r\n\r\n")
        async with asyncio.timeout(10):
            await reader.read()
        writer.close()
        await writer.wait_closed()


def is_harmless(output: str) -> bool:
    """Whether a terminal shows it as it is: printable, but for the ends of lines."""
    return all(line.isprintable() for line in output.split("\n"))


# ---------------------------------------------------------------------- what is sent


@pytest.mark.parametrize("form", ["console", "json"])
async def test_nothing_that_is_sent_makes_a_line_or_a_control_character(
    sqlite_template: Path, tmp_path: Path, form: LogFormat
) -> None:
    url = f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, tmp_path / 'seatsaga.db')}"
    await fill(url)
    env = environment(tmp_path, url, log_format=form, admin_token=ADMIN_TOKEN)
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    refused = 0
    async with serving_child(tmp_path, env) as child, httpx.AsyncClient(base_url=child.url, headers=bearer) as client:
        flight_id = (await post(client, FLIGHTS, None, "")).json()["data"]["flights"]["edges"][0]["node"]["id"]
        for text in texts(20):
            await send_headers(child, text)
            for changes in (
                {"passengers": [{"givenName": text, "familyName": text}]},
                {"passengers": [{"givenName": text[:50], "familyName": "A"}]},
                {"loyalty": {"memberNumber": text}},
                {"payment": {"token": text}},
                {"correlationId": text},
                {"segments": [{"flightId": text, "seats": [text]}]},
            ):
                response = await book(client, flight_id, **changes)
                assert "INTERNAL" not in response.text, changes
            answer = (await post(client, SKIP, {"id": str(uuid.uuid4()), "reason": text}, "Skip")).json()
            refusals = answer["data"]["skipStep"]["errors"] if answer.get("data") else []
            refused += [error.get("path") for error in refusals].count(["reason"])
            for job in ("release-expired-reservations", "x"):
                path = f"/admin/scheduler/jobs/{job}"
                await client.patch(path, content=json.dumps({"intervalSeconds": text, text: text}))
            await client.post("/graphql", content=text.encode("utf-8", "surrogatepass"))
            await post(client, f"query Q {{ {text} }}", {text: text}, text)
        await post(client, "query LastOne { __typename }", None, "LastOne")
        log = tmp_path / "logs" / "saga_orchestrator.log"
        await eventually(lambda: "LastOne" in log.read_text())
        assert child.terminate() == 0

    assert refused >= 9
    for file in (log, tmp_path / "logs" / "saga_bookings.log", child.output):
        for line in file.read_bytes().decode().removesuffix("\n").split("\n"):
            assert line.isprintable(), line
            assert len(line) < 20_000
            if file == log and form == "console":
                assert LINE.fullmatch(line), line
            elif file != child.output:
                told = json.loads(line)
                assert {"replica", "release"} <= told.keys()


# ---------------------------------------------------------------------- what is stored, on a terminal


async def test_commands_print_what_is_stored_as_it_is(sqlite_template: Path, tmp_path: Path) -> None:
    path = shutil.copy(sqlite_template, tmp_path / "seatsaga.db")
    await fill(f"sqlite+aiosqlite:///{path}")
    env = environment(tmp_path, f"sqlite+aiosqlite:///{path}", admin_token=ADMIN_TOKEN) | {"COLUMNS": "1000"}
    strange = "".join(text for text in STRANGE if text != "\ud800\udfff" and len(text) < 1_000).replace("\0", "")
    async with serving_child(tmp_path, env) as child:
        async with Client(child.url, ADMIN_TOKEN) as api:
            flight_id = (await api.query(FLIGHTS))["flights"]["edges"][0]["node"]["id"]
            order = {
                "correlationId": str(uuid.uuid4()),
                "segments": [{"flightId": flight_id}],
                "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
                "simulate": {"failAt": ["CONFIRM_BOOKING"]},
            }
            saga_id = (await api.query(BOOK, input=order))["bookFlight"]["saga"]["correlationId"]
            async for _ in api.follow(saga_id):
                pass
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as client:
            run = f"{child.url}/admin/scheduler/jobs/release-expired-reservations/run"
            assert (await client.post(run)).status_code == 200
        with sqlite3.connect(path) as rows:
            rows.execute("UPDATE saga_events SET message = ?", [strange])
            rows.execute("UPDATE saga_steps SET summary = ?, undo_summary = ?, failure_message = ?", [strange] * 3)
            rows.execute("UPDATE sagas SET failure_code = ?, failure_message = ?", [strange] * 2)
            rows.execute("UPDATE replicas SET host = ?, release = ?", [strange] * 2)
            rows.execute("UPDATE job_controls SET paused_by = ?, paused_at = 1", [strange])
            rows.execute("UPDATE job_runs SET error = ?", [strange])
        rows.close()
        for command, code in (
            (("sagas", "show", saga_id, "--url", child.url), 0),
            (("sagas", "list", "--url", child.url), 0),
            (("watch", saga_id, "--url", child.url), 1),
            (("jobs", "list"), 0),
            (("jobs", "runs", "release-expired-reservations"), 0),
            (("jobs", "run", strange.replace("\x00", "")), 2),
            (("replicas",), 0),
            (("replicas", "--json"), 0),
            (("sagas", "show", saga_id, "--url", f"http://127.0.0.1:1/{STRANGE[1]}{STRANGE[8]}"), 2),
        ):
            ended = await asyncio.to_thread(seatsaga, *command, env=env, folder=tmp_path)
            assert ended.returncode == code, (command, ended)
            assert "Traceback" not in ended.stderr
            assert is_harmless(ended.stdout + ended.stderr), (command, ended)
            if command[1:2] in (("show",), ("runs",)) or command[0] == "watch":
                assert "[/x]" in ended.stdout + ended.stderr, (command, ended)
                assert ":boom:" in ended.stdout + ended.stderr
    ended = await asyncio.to_thread(seatsaga, "doctor", env=env, folder=tmp_path)
    assert ended.returncode in (0, 1), ended
    assert is_harmless(ended.stdout + ended.stderr)


@pytest.mark.parametrize("module", sorted(COMMANDS.glob("*.py")), ids=lambda path: path.stem)
def test_a_command_prints_by_the_terminal_alone(module: Path) -> None:
    """Whoever makes a console of rich's prints markup."""
    if module.stem == "terminal":
        return
    made = {
        node.func.id
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    imported = {
        alias.name
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in ("rich.console", "rich.text", "rich")
        for alias in node.names
    }
    assert not made & imported
