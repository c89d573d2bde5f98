"""Instants are whole microseconds, converted without loss; the database's clock is the one that is asked."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.clock import (
    SECOND,
    ClockStepped,
    ClockWatch,
    DatabaseClock,
    ManualClock,
    from_datetime,
    monotonic_now,
    to_datetime,
    wall_now,
)
from domain.storage import Database
from domain.telemetry import Telemetry
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("microseconds", "moment"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1, datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        (951_782_400 * SECOND, datetime(2000, 2, 29, tzinfo=UTC)),
        (253_402_300_799_999_999, datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_an_instant_is_microseconds_since_the_epoch(microseconds: int, moment: datetime) -> None:
    assert to_datetime(microseconds) == moment
    assert to_datetime(microseconds).tzinfo is UTC
    assert from_datetime(moment) == microseconds


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(from_datetime(datetime.min.replace(tzinfo=UTC)), from_datetime(datetime.max.replace(tzinfo=UTC))))
def test_no_microsecond_is_lost_on_the_way_to_a_datetime_and_back(microseconds: int) -> None:
    assert from_datetime(to_datetime(microseconds)) == microseconds


def test_a_datetime_of_another_zone_is_the_same_instant() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert from_datetime(datetime(2026, 1, 1, 9, tzinfo=tokyo)) == from_datetime(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_datetime_without_a_zone_is_no_instant() -> None:
    with pytest.raises(TypeError):
        from_datetime(datetime(2026, 1, 1))


def test_the_wall_clock_counts_microseconds() -> None:
    before = time.time_ns()
    now = wall_now()
    assert before // 1_000 <= now <= time.time_ns() // 1_000


async def test_the_databases_clock_counts_microseconds_since_the_epoch(database: Database) -> None:
    clock = DatabaseClock()
    async with database.reading() as connection:
        before = wall_now()
        now = await clock.now(connection)
        # The database of the tests runs on this machine.
        assert before - SECOND <= now <= wall_now() + SECOND


async def test_the_databases_clock_goes_on_within_a_transaction(database: Database) -> None:
    clock = DatabaseClock()
    async with database.reading() as connection:
        first = await clock.now(connection)

        async def has_gone_on() -> bool:
            return await clock.now(connection) > first

        await eventually(has_gone_on)


async def test_a_manual_clock_is_the_databases_moved_on_by_the_test(database: Database) -> None:
    clock = ManualClock()
    async with database.reading() as connection:
        first = await clock.now(connection)
        clock.advance(3_600)
        clock.advance(0.5)
        moved = await clock.now(connection) - first
    assert clock.offset_us == 3_600_500_000
    assert 3_600_500_000 <= moved < 3_600_500_000 + 60 * SECOND


def test_a_clock_that_was_set_is_noticed_once_and_by_how_much(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[ClockStepped] = []
    telemetry = Telemetry()
    telemetry.attach(heard.append)
    watch = ClockWatch("machine", telemetry)
    assert watch.look(wall_now()) == 0
    for hours in (-2, 5_040, 0):
        step = watch.look(wall_now() + hours * 3_600 * SECOND)
        assert step != 0
        assert watch.look(wall_now() + hours * 3_600 * SECOND) == 0
    assert [round(step.seconds / 3_600) for step in heard] == [-2, 5_042, -5_040]
    assert [record.message for record in caplog.records if "clock" in record.message] == [
        "The machine's clock was set back by 2:00:00; waits go on as they were.",
        "The machine's clock was set forwards by 210 days, 2:00:00; waits go on as they were.",
        "The machine's clock was set back by 210 days, 0:00:00; waits go on as they were.",
    ]


def test_a_clock_that_answers_late_was_not_set() -> None:
    watch = ClockWatch("database", Telemetry())
    now = wall_now()
    assert watch.look(now, asked_at=monotonic_now()) == 0
    # It said so at some moment of the last hour.
    assert watch.look(now - 1_800 * SECOND, asked_at=monotonic_now() - 3_600 * SECOND) == 0
    assert watch.look(now - 7_200 * SECOND, asked_at=monotonic_now() - 3_600 * SECOND) < 0
