"""APScheduler as a ticker that does not go by a clock which somebody may set.

It keeps moments of the wall clock, though it sleeps in monotonic time. So whenever it wakes, and before it looks at
what is due, the moments are moved by as much as the clock was set meanwhile.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from domain.clock import ClockWatch, wall_now

__all__ = ["Every", "Ticker"]


class Every(BaseTrigger):
    """Every `seconds`. What was missed is missed: APScheduler's own trigger goes through all of it, one by one."""

    def __init__(self, seconds: float) -> None:
        self.interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """An interval after the one before, or after now where that has passed."""
        following = (previous_fire_time or now) + self.interval
        return following if following > now else now + self.interval


class Ticker(AsyncIOScheduler):
    """Runs what is due, each job with an `Every`. `watch` is told what this machine's clock says."""

    def __init__(self, watch: ClockWatch) -> None:
        super().__init__(timezone=UTC)
        self._watch = watch
        watch.look(wall_now())

    def wakeup(self) -> None:
        """As APScheduler's, with what is due moved along with the clock first."""
        self.follow_clock()
        super().wakeup()

    def follow_clock(self) -> None:
        """Let every job wait for as long as it had to when the clock was set, and no longer than its interval."""
        step = self._watch.look(wall_now())
        if not step:
            return
        now = datetime.now(UTC)
        for job in self.get_jobs():
            due = min(job.next_run_time + timedelta(microseconds=step), now + job.trigger.interval)
            self.modify_job(job.id, next_run_time=due)
