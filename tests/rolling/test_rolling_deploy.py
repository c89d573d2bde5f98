"""A deploy as docs/scaling.md tells it, while buyers go on: nothing is lost, and nobody is turned away."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from app.migrations import head
from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.storage import Database
from schema import ids
from tests.app.schemas import on
from tests.domain.bookings.world import departures
from tests.rolling.fleet import Fleet, fleet
from tests.rolling.releases import CONTRACTED, EXPANDED, Release, last_release, next_release, this_release
from tests.support.children import Child
from tests.support.sequences import EARN, steps_of
from tests.support.waiting import eventually

_FIRST, *_OTHERS = steps_of(EARN)
NEXT_STEPS = [_FIRST, "SCREEN_PASSENGERS", *_OTHERS]
SLOW = {"delayMs": 1_000}
REDEEM = {"memberNumber": "SS0000003", "pointsToRedeem": 100}


async def stocked(database_url: str) -> list[str]:
    """The node ids of flights that can be booked, on a database with members."""
    database = Database(database_url)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    async with database.reading() as connection:
        found = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
    await database.close()
    return [ids.encode("Flight", flight.id) for flight in found]


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_three_replicas_are_replaced_by_the_next_release_while_buyers_go_on(
    database_url: str, tmp_path: Path
) -> None:
    this, next_ = this_release(), next_release(tmp_path)
    last = last_release(tmp_path, next_)
    async with fleet(database_url, tmp_path, await stocked(database_url)) as served:
        one, two, three = await asyncio.gather(*(served.start(this) for _ in range(3)))
        async with served.buyers():
            assert await served.run(next_, "migrate") == (0, f"Migrated from {head()} to {EXPANDED}.", "")
            # Who dies in the middle of it starts again.
            await served.kill(one)
            one = await served.start(this, at=one)
            await first_of_the_next(served, next_, old=one)
            await served.stop(two)
            await served.start(next_, at=two)
            await served.stop(three)
            await served.start(next_, at=three)
            # One that is still alive would be harmed by what the last release does to the schema.
            code, _, refused = await served.run(last, "migrate")
            assert code == 2
            assert f"ends releases up to {head()}, and of those are alive: process {one.process.pid} on" in refused
            await served.stop(one)
            assert await served.run(last, "migrate") == (0, f"Migrated from {EXPANDED} to {CONTRACTED}.", "")
            too_late = f"revision {CONTRACTED}, which this version, at {head()}, may not serve; run a newer seatsaga."
            code, said, refused = await served.run(this, "serve", "--port", str(one.port))
            assert (code, refused.splitlines()[-1]) == (2, f"seatsaga: the database is at {too_late}")
        await eventually(partial(all_ended, database_url), 30)
        versions = await on(database_url, lambda connection: connection.execute(text(_VERSIONS)).all())
        run = {at for name, at, _ in versions if name == EARN.name}
        assert run == {EARN.version, EARN.version + 1}
        assert sum(number for *_, number in versions) == len(set(served.accepted))
        code, said, _ = await served.run(last, "doctor")
        assert code == 0, said


_VERSIONS = "SELECT definition, version, count(*) FROM sagas GROUP BY definition, version"


async def all_ended(database_url: str) -> bool:
    """Whether no saga is under way."""
    under_way = text("SELECT count(*) FROM sagas WHERE finished_at IS NULL")
    number: int = await on(database_url, lambda connection: connection.execute(under_way).scalar_one())
    return number == 0


async def first_of_the_next(served: Fleet, release: Release, *, old: Child) -> None:
    """The next release's first replica, which is lost once with sagas of both versions; those beside it are old."""
    new = await served.start(release)
    known = await served.book(new, loyalty=REDEEM, simulate=SLOW)
    left = await served.book(new, simulate=SLOW)
    cancelled = await served.book(new, simulate=SLOW)
    await served.kill(new)
    await served.cancel(old, cancelled)
    # What the others know they take over, and the rest they leave.
    assert (await served.ended(old, known))["status"] == "COMPLETED"
    saga = await served.saga(old, left)
    assert saga["status"] in ("PENDING", "RUNNING")
    assert (saga["definitionVersion"], [step["name"] for step in saga["steps"]]) == (EARN.version + 1, NEXT_STEPS)
    await served.start(release, at=new)
    saga = await served.ended(old, left)
    assert (saga["status"], saga["queue"]["completed"]) == ("COMPLETED", NEXT_STEPS)
    assert (await served.ended(old, cancelled))["status"] == "COMPENSATED"
