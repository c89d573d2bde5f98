"""APScheduler as a ticker that is independent of changes to the system clock.

APScheduler stores wall-clock times but sleeps in monotonic time. So whenever it wakes, and before it checks for due
jobs, the stored times are shifted by the amount by which the clock was set meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from domain.clock import ClockWatch, wall_now

__all__ = ["Every", "Ticker"]


class Every(BaseTrigger):
    """Fires every `seconds`, and skips missed ticks. APScheduler's own trigger iterates over all of them one by one."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """One interval after the previous tick, or after now if that time has passed."""
        following = (previous_fire_time or now) + self.interval
        return following if following > now else now + self.interval


class Ticker(AsyncIOScheduler):
    """Runs due jobs, each with an `Every`. `watch` receives the readings of this machine's clock."""

    def __init__(self, watch: ClockWatch) -> None:
        super().__init__(timezone=UTC)
        self._watch = watch
        watch.look(wall_now())

    def wakeup(self) -> None:
        """As APScheduler's, but it first shifts the due times with the clock."""
        self.follow_clock()
        super().wakeup()

    def follow_clock(self) -> None:
        """Keep every job's remaining wait as it was before the clock was set, limited to its interval."""
        step = self._watch.look(wall_now())
        if not step:
            return
        now = datetime.now(UTC)
        for job in self.get_jobs():
            due = min(job.next_run_time + timedelta(microseconds=step), now + job.trigger.interval)
            self.modify_job(job.id, next_run_time=due)
