"""The ticker waits in monotonic time; tests/app/test_clock_steps.py sets a real clock under it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from app.ticker import Every, Ticker
from domain.clock import ClockWatch
from domain.telemetry import Telemetry

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_the_next_run_follows_the_one_before_and_is_no_earlier_than_now() -> None:
    every = Every(30)
    assert every.get_next_fire_time(None, NOON) == NOON + timedelta(seconds=30)
    assert every.get_next_fire_time(NOON, NOON + timedelta(seconds=1)) == NOON + timedelta(seconds=30)
    # What was missed in half a year is one run, not six hundred thousand.
    later = NOON + timedelta(days=210)
    assert every.get_next_fire_time(NOON, later) == later + timedelta(seconds=30)


async def test_a_job_that_is_due_further_ahead_than_its_interval_is_brought_back_with_the_clock() -> None:
    class Set(ClockWatch):
        """A clock that was set back by two hours between the first look and the next."""

        step = 0

        def look(self, now: int, *, asked_at: int | None = None) -> int:
            step, self.step = self.step, 0
            return step

    watch = Set("machine", Telemetry())
    ticker, ran = Ticker(watch), asyncio.Event()

    async def run() -> None:
        ran.set()

    ticker.add_job(run, Every(3_600), id="sweep")
    ticker.start()
    try:
        ticker.modify_job("sweep", next_run_time=datetime.now(UTC) + timedelta(hours=2))
        watch.step = -2 * 3_600 * 1_000_000
        ticker.wakeup()
        async with asyncio.timeout(10):
            await ran.wait()
        # Further than the interval it never is, whatever is said of the clock.
        watch.step = 3 * 3_600 * 1_000_000
        ticker.follow_clock()
        assert ticker.get_job("sweep").next_run_time <= datetime.now(UTC) + timedelta(hours=1)
    finally:
        ticker.shutdown(wait=False)
        await asyncio.sleep(0)
