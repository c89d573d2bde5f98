"""Turns that a test takes by hand."""

from __future__ import annotations

from collections.abc import Sequence

from domain.saga.executor import Executor
from domain.saga.work import TurnResult, Work

__all__ = ["turned"]


async def turned(executor: Executor, work: Sequence[Work]) -> TurnResult:
    """What `work` comes to, all of its transactions together."""
    whole = TurnResult()
    async for result in executor.turns(work):
        whole.handled |= result.handled
        whole.events += result.events
        whole.calls += result.calls
        whole.due |= result.due
        whole.unsettled += result.unsettled
        whole.over |= result.over
        whole.ended += result.ended
        whole.waits += result.waits
        whole.put_off += result.put_off
    return whole
