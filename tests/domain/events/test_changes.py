"""The reader of sagas that change: of each the newest event, in batches, within a limit."""

from __future__ import annotations

import pytest

from domain.errors import SlowConsumerError
from domain.events import EventType, SagaEvent
from domain.events.reader import ChangesReader


def event(saga: str, sequence: int) -> SagaEvent:
    return SagaEvent(saga, saga, sequence, EventType.STEP_STARTED, "RESERVE_SEAT", None, 1, "", None, 0)


async def test_a_newer_event_replaces_the_one_before_and_keeps_its_place() -> None:
    reader = ChangesReader(sagas_max=10, batch_sagas_max=10, pause_seconds=0)
    for saga, sequence in [("a", 1), ("b", 1), ("a", 2)]:
        reader.offer(event(saga, sequence))
    assert await reader.take() == [event("a", 2), event("b", 1)]


async def test_more_sagas_than_a_batch_has_come_with_the_next_one() -> None:
    # The pause would be longer than the test may take: none stands between these batches.
    reader = ChangesReader(sagas_max=10, batch_sagas_max=2, pause_seconds=3_600)
    for saga in "abc":
        reader.offer(event(saga, 1))
    assert [len(await reader.take()), len(await reader.take())] == [2, 1]


async def test_a_reader_that_is_too_slow_for_the_limit_is_told_so() -> None:
    reader = ChangesReader(sagas_max=2, batch_sagas_max=2, pause_seconds=0)
    for saga in "aabb":
        reader.offer(event(saga, 1))
    assert len(await reader.take()) == 2
    for saga in "abc":
        reader.offer(event(saga, 2))
    with pytest.raises(SlowConsumerError):
        await reader.take()
