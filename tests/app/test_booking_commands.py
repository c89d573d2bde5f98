"""`seatsaga book`, `pay`, `confirm` and `watch` at a real server: hold seats, be declined, ask the bank, be booked."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio

from app.client import Client
from app.commands.waits import Wait
from tests.app.whole import fill
from tests.clients.tokens import SECRET, customer, token
from tests.support.children import Child, environment, seatsaga, serving_child
from tests.support.waiting import eventually

ADA: Final = ("--passenger", "Ada Lovelace")
DECLINED: Final = ("--token", "pm_card_chargeDeclined")
ASKS: Final = ("--token", "pm_card_threeDSecure2Required")
REFERENCE: Final = "[A-Z0-9]{6}"
LEFT: Final = r"1[0-4]:[0-5]\d left"
STATUS: Final = "query($id: UUID!) { saga(correlationId: $id) { status } }"
BANK: Final = """query($id: UUID!) { saga(correlationId: $id) {
  awaiting { ... on CardConfirmationAwaited { url } } } }"""
SECONDS_MAX: Final = 30.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    code: int
    out: str
    errors: str


@dataclass(frozen=True)
class Customer:
    """Runs commands as a customer at a server, in `folder`."""

    url: str
    folder: Path
    env: dict[str, str]

    async def __call__(self, *arguments: str, **variables: str) -> Ended:
        command = (*arguments, "--url", self.url)
        child = await asyncio.to_thread(seatsaga, *command, env=self.env | variables, folder=self.folder)
        assert "Traceback" not in child.stderr
        return Ended(child.returncode, child.stdout, child.stderr)

    async def hold(self, *more: str) -> str:
        """The correlation ID of held seats."""
        ended = await self("book", "--hold", *ADA, *more)
        assert ended.code == 0, ended
        return saga_id(ended)

    async def answer_bank(self, correlation_id: str, answer: str) -> None:
        """Answer on the page at which the card's holder is asked."""
        async with Client(self.url) as client, httpx.AsyncClient(base_url=self.url) as http:
            url = (await client.query(BANK, id=correlation_id))["saga"]["awaiting"]["url"]
            assert (await http.post(url, data={"answer": answer})).status_code == 303


def saga_id(ended: Ended) -> str:
    """The ID that `book` says on standard error."""
    said = re.fullmatch(r"Saga ([0-9a-f-]{36})\n", ended.errors)
    assert said is not None, ended
    return said[1]


@asynccontextmanager
async def served(template: Path, folder: Path, **settings: str) -> AsyncIterator[tuple[Child, dict[str, str]]]:
    env = environment(folder, f"sqlite+aiosqlite:///{shutil.copy(template, folder / 'seatsaga.db')}", **settings)
    await fill(env["SEATSAGA_DATABASE_URL"])
    async with serving_child(folder, env) as child:
        yield child, env | {"COLUMNS": "300", "NO_COLOR": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Customer]:
    """The customer of a server without tokens."""
    folder = tmp_path_factory.mktemp("booking")
    # The commands need no documents but their own; this module asks for two more.
    (folder / "asked.graphql").write_text(f"{BANK}\n{STATUS}")
    trusted = {"persisted_queries": "only", "trusted_documents": str(folder / "asked.graphql")}
    async with served(sqlite_template, folder, **trusted) as (child, env):
        yield Customer(child.url, folder, env)


# ---------------------------------------------------------------------- hold and pay


async def test_seats_are_held_and_paid(ada: Customer) -> None:
    held = await ada("book", "--hold", *ADA, "--passenger", "Hopper, Grace", "--cabin", "first")
    assert held.code == 0, held
    first, second = held.out.splitlines()
    assert re.fullmatch(r"Held: 1A on T100, 1B on T100\.", first)
    pay = f"seatsaga pay {saga_id(held)} --token CARD --url {ada.url}"
    assert re.fullmatch(rf"{LEFT} to pay 1000\.00 USD\. Run: {pay}", second)
    paid = await ada("pay", saga_id(held))
    assert (paid.code, paid.errors) == (0, "")
    assert re.fullmatch(rf"Booked: {REFERENCE}\. Seats: 1A on T100, 1B on T100\. 1000\.00 USD paid\.\n", paid.out)


async def test_a_declined_card_is_followed_by_one_that_asks_its_holder(ada: Customer) -> None:
    saga = await ada.hold()
    declined = await ada("pay", saga, *DECLINED)
    assert declined.code == 1
    assert re.search(rf"The card was declined\. {LEFT} to pay 100\.00 USD with another card\.", declined.out)
    asked = await ada("pay", saga, *ASKS)
    assert asked.code == 0
    assert re.search(rf"{LEFT} for the card's holder to answer the bank\. Open: {ada.url}/sandbox/confirm/", asked.out)
    unanswered = await ada("confirm", saga)
    assert unanswered.code == 1
    assert unanswered.out.partition("Open: ")[2] == asked.out.partition("Open: ")[2]
    await ada.answer_bank(saga, "approve")
    confirmed = await ada("confirm", saga)
    assert confirmed.code == 0, confirmed
    assert re.match(rf"Booked: {REFERENCE}\.", confirmed.out)


async def test_a_holder_who_refuses_may_pay_with_another_card(ada: Customer) -> None:
    saga = await ada.hold()
    assert (await ada("pay", saga, *ASKS)).code == 0
    await ada.answer_bank(saga, "refuse")

    async def asks_for_another() -> bool:
        ended = await ada("confirm", saga)
        assert ended.code == 1
        return "with another card" in ended.out

    assert await eventually(asks_for_another, SECONDS_MAX)
    assert (await ada("pay", saga)).code == 0


async def test_a_card_given_at_once_may_ask_its_holder_too(ada: Customer) -> None:
    asked = await ada("book", *ADA, *ASKS)
    assert asked.code == 0, asked
    await ada.answer_bank(saga_id(asked), "approve")
    assert (await ada("confirm", saga_id(asked))).code == 0


async def test_a_booking_without_a_hold_is_booked_or_undone(ada: Customer) -> None:
    booked = await ada("book", *ADA, "--from", "JFK", "--to", "LHR", "--seat", "9D")
    assert booked.code == 0, booked
    assert "Seats: 9D on T101." in booked.out
    failed = await ada("book", *ADA, *DECLINED)
    assert failed.code == 1
    assert failed.out == "Not booked: The card was declined. (PAYMENT_DECLINED) Everything is undone.\n"
    simulated = await ada("book", *ADA, "--fail-at", "CONFIRM_BOOKING", "--member", "SS0000002", "--points", "100")
    assert simulated.code == 1
    assert "(SIMULATED)" in simulated.out


async def test_a_repeated_command_with_its_id_books_once(ada: Customer) -> None:
    name = str(uuid.uuid4())
    flight = json.loads((await ada("book", *ADA, "--hold", "--json")).out)["flights"][0]["id"]
    first, again = [await ada("book", *ADA, "--hold", "--id", name, "--flight", flight) for _ in range(2)]
    assert saga_id(first) == saga_id(again) == name
    assert first.out.splitlines()[0] == again.out.splitlines()[0]


async def test_each_command_prints_the_saga_as_json(ada: Customer) -> None:
    held = json.loads((await ada("book", *ADA, "--hold", "--json")).out)
    assert (held["status"], held["awaiting"]["__typename"]) == ("WAITING", "PaymentAwaited")
    asked = json.loads((await ada("pay", held["correlationId"], *ASKS, "--json")).out)
    assert asked["awaiting"]["url"].startswith("/sandbox/confirm/")
    await ada.answer_bank(held["correlationId"], "approve")
    confirmed = json.loads((await ada("confirm", held["correlationId"], "--json")).out)
    assert confirmed["status"] == "COMPLETED"
    assert re.fullmatch(REFERENCE, confirmed["booking"]["reference"])


# ---------------------------------------------------------------------- watch


async def test_watch_goes_on_through_a_wait_and_says_what_is_awaited(ada: Customer) -> None:
    saga = str(uuid.uuid4())
    watching = asyncio.create_task(ada("book", "--hold", "--watch", *ADA, "--id", saga))

    async def is_held() -> bool:
        async with Client(ada.url) as client:
            found = (await client.query(STATUS, id=saga))["saga"]
        return found is not None and found["status"] == "WAITING"

    await eventually(is_held, SECONDS_MAX)
    assert not watching.done()
    assert (await ada("pay", saga)).code == 0
    ended = await asyncio.wait_for(watching, SECONDS_MAX)
    assert ended.code == 0, ended
    lines = ended.out.splitlines()
    waiting = next(number for number, line in enumerate(lines) if "◷ STEP_WAITING" in line)
    assert re.match(rf"{LEFT} to pay 100\.00 USD\. Run: seatsaga pay {saga} ", lines[waiting + 1])
    assert "▶ STEP_RESUMED" in lines[waiting + 2]
    assert lines[-1].endswith("COMPLETED")
    again = await ada("watch", saga)
    assert again.code == 0
    assert " left " not in again.out


async def test_an_operator_is_told_where_the_customer_finds_the_banks_page_and_of_no_earlier_wait(
    ada: Customer,
) -> None:
    saga = await ada.hold()
    assert (await ada("pay", saga, *ASKS)).code == 0
    with closing(Screen(ada, "watch", saga, terminal="dumb")) as screen:
        await eventually(lambda: "For the page" in screen.text(), SECONDS_MAX)
        await ada.answer_bank(saga, "approve")
        await eventually(lambda: "COMPLETED" in screen.text().splitlines()[-1], SECONDS_MAX)
        said = screen.text()
    (asked,) = (line for line in said.splitlines() if " left " in line)
    assert f"For the page, run: seatsaga confirm {saga} " in asked
    assert "/sandbox/confirm/" not in said


class Screen:
    """A command whose output is a terminal; a dumb one can only add lines."""

    def __init__(self, customer: Customer, *arguments: str, terminal: str = "xterm") -> None:
        self._here, there = os.openpty()
        os.set_blocking(self._here, False)
        self._seen = b""
        env = customer.env | {"TERM": terminal}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", *arguments, "--url", customer.url],
            env=env, cwd=customer.folder, stdin=subprocess.DEVNULL, stdout=there, stderr=there,
        )  # fmt: skip
        os.close(there)

    def text(self) -> str:
        """All that was written so far."""
        try:
            while more := os.read(self._here, 65_536):
                self._seen += more
        except (BlockingIOError, OSError):
            pass
        return self._seen.decode(errors="replace")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._here)


async def test_on_a_terminal_the_time_is_counted_down_until_it_is_paid(ada: Customer) -> None:
    saga = await ada.hold()
    with closing(Screen(ada, "watch", saga)) as screen:
        await eventually(lambda: len(set(re.findall(LEFT, screen.text()))) >= 3, SECONDS_MAX)
        assert (await ada("pay", saga)).code == 0
        await eventually(lambda: "COMPLETED" in screen.text().splitlines()[-1], SECONDS_MAX)


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1.0, "0:00"), (0.9, "0:00"), (61.0, "1:01"), (899.99, "14:59"), (3_725.0, "1:02:05")]
)
async def test_the_time_left_is_told_in_hours_minutes_and_seconds(seconds: float, said: str) -> None:
    assert Wait(100.0 + seconds, "to pay 1.00 USD.").line(100.0) == f"{said} left to pay 1.00 USD."


@pytest.mark.parametrize("hours", [-3, 0, 3])
async def test_the_time_is_the_servers_whatever_this_machines_is(hours: int) -> None:
    there = timedelta(hours=hours)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date, body = format_datetime(datetime.now(UTC) + there, usegmt=True), b'{"data": {}}'
        writer.write(f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}") as client:
            await client.query("{ __typename }")
            here = datetime.now(UTC)
            ahead = datetime.fromtimestamp(client.server_now(), UTC) - here
    assert abs(ahead - there) < timedelta(seconds=2)


async def test_a_hold_that_nobody_pays_for_lapses_and_watch_ends(sqlite_template: Path, tmp_path: Path) -> None:
    async with served(sqlite_template, tmp_path, hold_seconds="3") as (child, env):
        ended = await Customer(child.url, tmp_path, env)("book", "--hold", "--watch", *ADA)
    assert ended.code == 1
    assert "HOLD_EXPIRED" in ended.out or "held for too long" in ended.out
    assert ended.out.splitlines()[-1].endswith("COMPENSATED")


# ---------------------------------------------------------------------- refusals


async def test_a_refusal_says_what_to_do(ada: Customer) -> None:
    unknown = str(uuid.uuid4())
    for command in ("pay", "confirm"):
        ended = await ada(command, unknown)
        assert (ended.code, ended.out) == (2, "")
        assert ended.errors == (
            "seatsaga: There is no saga with this correlation ID. Check the ID, and that SEATSAGA_TOKEN is its "
            "customer's.\n"
        )
    booked = saga_id(await ada("book", *ADA))
    late = await ada("pay", booked)
    assert late.code == 2
    assert late.errors.endswith(f"See how it goes on: seatsaga watch {booked}\n")
    nowhere = await ada("book", *ADA, "--from", "LHR", "--to", "LAX")
    assert nowhere.errors == (
        "seatsaga: no flight from LHR to LAX has enough ECONOMY seats within 30 days; choose another date, cabin or "
        "route, or load a timetable with: seatsaga seed\n"
    )
    assert "There is no flight" in (await ada("book", *ADA, "--flight", "RmxpZ2h0OjA")).errors


async def test_confirming_what_is_booked_says_so(ada: Customer) -> None:
    booked = saga_id(await ada("book", *ADA))
    ended = await ada("confirm", booked)
    assert ended.code == 0
    assert ended.out.startswith("Booked: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("book",), "Missing option '--passenger'"),
        (("book", "--passenger", "Ada"), "is not a given and a family name"),
        (("book", *ADA, "--hold", *DECLINED), "--hold takes no --token"),
        (("book", *ADA, "--points", "5"), "--points needs --member"),
        (("book", *ADA, "--from", "LHR"), "--from and --to go together"),
        (("book", *ADA, "--flight", "x", "--on", "2030-01-01"), "leave --from, --to and --on out"),
        (("book", *ADA, "--flight", "x", "--flight", "y", "--seat", "9A"), "--seat is for one flight"),
        (("book", *ADA, "--cabin", "penthouse"), "'economy', 'business', 'first'"),
        (("book", *ADA, "--watch", "--json"), "choose --watch or --json"),
        (("pay", "7"), "should be a valid UUID"),
        (("confirm",), "Missing argument 'ID'"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else None,
)
async def test_a_wrong_command_line_is_named_before_anything_is_asked(
    ada: Customer, arguments: tuple[str, ...], said: str
) -> None:
    ended = await ada(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.errors


async def test_a_server_with_tokens_is_asked_in_the_name_of_the_customer(sqlite_template: Path, tmp_path: Path) -> None:
    async with served(sqlite_template, tmp_path, auth="jwt", jwt_secret=SECRET) as (child, env):
        anybody = Customer(child.url, tmp_path, env)
        refused = await anybody("book", *ADA)
        assert refused.code == 2
        assert refused.errors.splitlines()[-1] == (
            "seatsaga: A bearer token is needed. Set SEATSAGA_TOKEN to a customer's token, or SEATSAGA_ADMIN_TOKEN to "
            "the operators'."
        )
        mine = Customer(child.url, tmp_path, env | {"SEATSAGA_TOKEN": token(customer())})
        saga = await mine.hold()
        others = await anybody("pay", saga, SEATSAGA_TOKEN=token(customer()))
        assert (others.code, others.out) == (2, "")
        assert (await mine("pay", saga)).code == 0
        assert (await mine("watch", saga)).code == 0


# ---------------------------------------------------------------------- completion


async def completed(ada: Customer, words: str) -> list[str]:
    """What the shell offers after these words."""
    env: dict[str, Any] = {
        "_SEATSAGA_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    process = await asyncio.create_subprocess_exec(
        shutil.which("seatsaga", path=str(Path(sys.executable).parent)) or "seatsaga",
        env=ada.env | env, cwd=ada.folder, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode().split()


async def test_the_shell_completes_commands_and_cabins(ada: Customer) -> None:
    assert await completed(ada, "seatsaga con") == ["confirm"]
    assert await completed(ada, "seatsaga book --cabin b") == ["BUSINESS"]
