"""Who follows all sagas is shown each event once, and in the order of its saga, whatever is heard of when."""

from __future__ import annotations

import pytest

from domain.events import EventType, Hint, SagaEvent
from domain.events.positions import Positions


def event(saga: str, sequence: int) -> SagaEvent:
    return SagaEvent(saga, f"c-{saga}", sequence, EventType.STEP_STARTED, None, None, None, "", None, 0)


def hint(saga: str, last: int) -> Hint:
    return Hint(saga, f"c-{saga}", 1, last)


@pytest.fixture
def positions() -> Positions:
    """Begun with one saga that stands at 5."""
    positions = Positions()
    positions.begin({"old": 5})
    return positions


def test_nothing_is_shown_of_what_was_before(positions: Positions) -> None:
    assert not positions.follows(event("old", 5))
    positions.heard(hint("old", 5))
    positions.stand({"old": 5}, positions.known)
    assert not positions.is_behind


def test_what_follows_is_shown_once(positions: Positions) -> None:
    assert [positions.follows(event("old", 6)) for _ in range(2)] == [True, False]
    assert [positions.follows(event("new", number)) for number in (1, 2, 2)] == [True, True, False]
    assert not positions.is_behind


def test_what_is_missing_is_read_first(positions: Positions) -> None:
    assert not positions.follows(event("old", 8))
    assert not positions.follows(event("new", 3))
    positions.heard(hint("other", 4))
    assert positions.take_behind() == {"old": 5, "new": 0, "other": 0}
    assert [positions.reads(event("old", number)) for number in (6, 7, 8)] == [True] * 3
    assert not positions.reads(event("old", 8))
    assert not positions.is_behind
    assert positions.follows(event("old", 9))


def test_what_could_not_be_read_stays_to_be_read(positions: Positions) -> None:
    positions.heard(hint("new", 2))
    afters = positions.take_behind()
    assert not positions.is_behind
    positions.put_back(afters)
    assert positions.take_behind() == {"new": 0}


def test_what_is_heard_of_before_the_beginning_is_shown_as_far_as_it_is_new() -> None:
    positions = Positions()
    assert not positions.follows(event("old", 5))
    positions.heard(hint("older", 4))
    positions.heard(hint("new", 2))
    assert not positions.is_behind
    positions.begin({"old": 5, "older": 3})
    assert positions.take_behind() == {"older": 3, "new": 0}


def test_who_ended_long_ago_is_forgotten_and_who_began_meanwhile_is_not(positions: Positions) -> None:
    known = positions.known
    positions.follows(event("new", 1))
    positions.stand({}, known)
    assert positions.known == {"new"}
    assert not positions.follows(event("new", 1))
    assert not positions.is_behind
