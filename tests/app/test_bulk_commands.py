"""`seatsaga sagas retry|skip|cancel|unpark --filter` and `settle` at a real server."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from app.client import Client
from tests.app.whole import fill
from tests.support.children import environment, seatsaga, serving_child, started
from tests.support.waiting import eventually

TOKEN: Final = "a token for operators"
STUCK: Final = {"failAt": ["CONFIRM_BOOKING"], "failCompensationAt": ["CANCEL_PAYMENT"]}
BOOK: Final = "mutation($input: BookFlightInput!) { bookFlight(input: $input) { saga { correlationId } } }"
LISTED: Final = "query($status: [SagaStatus!]) { sagas(filter: {status: $status}) { totalCount } }"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Operator:
    """Runs commands as an operator at a server, in `folder`."""

    client: Client
    folder: Path
    env: dict[str, str]

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        command = ("sagas", *arguments, "--url", self.client.url)
        ended = await asyncio.to_thread(seatsaga, *command, env=self.env, folder=self.folder)
        assert "Traceback" not in ended.stderr
        return ended.returncode, ended.stdout + ended.stderr

    async def stuck(self, number: int) -> list[str]:
        """The correlation IDs of so many more bookings that cannot give their money back."""
        before = await self.count("STUCK")
        flight = (await self.client.query("{ flights { edges { node { id } } } }"))["flights"]["edges"][0]["node"]["id"]
        wish: dict[str, Any] = {
            "segments": [{"flightId": flight}],
            "passengers": [{"givenName": "John", "familyName": "Smith"}],
            "simulate": STUCK,
        }
        booked = [await self.client.query(BOOK, input=wish) for _ in range(number)]

        async def all_stuck() -> bool:
            return await self.count("STUCK") == before + number

        await eventually(all_stuck, 60)
        return [each["bookFlight"]["saga"]["correlationId"] for each in booked]

    async def count(self, status: str) -> int:
        return int((await self.client.query(LISTED, status=[status]))["sagas"]["totalCount"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grace(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    folder = tmp_path_factory.mktemp("bulk")
    url = f"sqlite+aiosqlite:///{shutil.copy(sqlite_template, folder / 'seatsaga.db')}"
    env = environment(folder, url, admin_token=TOKEN) | {"NO_COLOR": "1"}
    await fill(url)
    async with serving_child(folder, env) as child, Client(child.url, TOKEN) as client:
        yield Operator(client, folder, env)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("retry",), "name one saga by its correlation ID, or several by --filter."),
        (("retry", "--filter", "STUCK"), "--filter STUCK: name each field once, as in status=STUCK"),
        (("retry", "--filter", "stauts=STUCK", "--dry-run"), "stauts"),
        (("retry", "--filter", "status=STUK", "--dry-run"), "status"),
        (("skip", "--filter", "status=STUCK", "--dry-run"), "SKIP needs the step"),
        (("settle", "01900000-0000-7000-8000-000000000000", "--how", "Paid back."), "saga"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_what_is_asked_for_wrongly_is_said(grace: Operator, command: tuple[str, ...], said: str) -> None:
    code, out = await grace(*command)

    assert code == 2
    assert said in out


async def test_all_stuck_sagas_are_counted_retried_and_reported(grace: Operator) -> None:
    await grace.stuck(4)
    number, undone = await grace.count("STUCK"), await grace.count("COMPENSATED")
    many = ("--filter", "status=STUCK|PARKED,stuckAt=AUTHORIZE_PAYMENT")

    assert await grace("retry", *many, "--dry-run") == (0, f"{number} sagas match.\n")
    assert (await grace("retry", *many))[1].endswith("no reason is given; say with --reason why, for the record.\n")
    reason = ("--reason", "The provider is back.")
    assert (await grace("retry", *many, *reason))[1].endswith("nobody can be asked here; add --yes to start.\n")
    refused = await grace("retry", *many, *reason, "--yes", "--expected", "3")
    assert f"3 sagas were expected, but {number} match now" in refused[1]
    code, out = await grace("retry", *many, *reason, "--yes", "--per-second", "50")

    assert code == 0
    assert f"DONE: {number} done, 0 passed over, of {number}." in out
    assert await grace("retry", *many, *reason, "--yes") == (0, "0 sagas match.\n")

    async def all_undone() -> bool:
        return await grace.count("COMPENSATED") == undone + number

    await eventually(all_undone)


async def test_an_interrupt_stops_the_action(grace: Operator) -> None:
    await grace.stuck(6)
    output = grace.folder / "interrupted.txt"
    command = ("sagas", "retry", "--filter", "status=STUCK", "--reason", "Try.", "--yes", "--per-second", "1")
    child = started((*command, "--url", grace.client.url), output=output, folder=grace.folder, environment=grace.env)
    await eventually(lambda: "Ctrl+C stops it." in output.read_text(), 30)
    child.send_signal(signal.SIGINT)

    assert await asyncio.to_thread(child.wait, 30) == 1
    assert "STOPPED: " in output.read_text()
    assert await grace.count("STUCK") > 0


async def test_what_is_skipped_is_settled_by_hand(grace: Operator) -> None:
    await grace.stuck(2)
    left = await grace.count("STUCK")
    code, out = await grace(
        *("skip", "--filter", "status=STUCK", "--step", "AUTHORIZE_PAYMENT"), "--reason", "Voided by hand.", "--yes"
    )
    assert (code, f"DONE: {left} done" in out) == (0, True)

    async def given_up() -> str:
        found = await grace.client.query("{ sagas(filter: {isUnsettled: true}) { edges { node { correlationId } } } }")
        edges = found["sagas"]["edges"]
        assert len(edges) == left
        one: str = edges[0]["node"]["correlationId"]
        return one

    one = await eventually(given_up)
    assert await grace("settle", one, "--how", "Voided in the provider's dashboard.") == (0, "The saga is settled.\n")
    assert "settled already" in (await grace("settle", one, "--how", "Again."))[1]
