"""Ids sort as they were made, and are the UUIDs they say they are."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.ids import canonical_uuid, new_id


def _stamp(text: str) -> int:
    """The 60 bits that an id is ordered by: the millisecond and its fraction."""
    value = uuid.UUID(text).int
    return value >> 80 << 12 | value >> 64 & 0xFFF


def test_ids_strictly_increase_also_within_one_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))
    milliseconds = [uuid.UUID(text).int >> 80 for text in ids]
    assert len(set(milliseconds)) < len(ids)


def test_ids_increase_while_the_wall_clock_stands_still_or_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    readings = [now, now, now + 1, now - 1_000_000_000, now - 3_600_000_000_000, now, now - 1]
    with monkeypatch.context() as wall:
        wall.setattr(time, "time_ns", iter(readings).__next__)
        ids = [new_id() for _ in readings]
    assert ids == sorted(set(ids))
    # Where the clock says nothing new, the id counts on by one.
    stamps = [_stamp(text) for text in ids]
    assert stamps == list(range(stamps[0], stamps[0] + len(stamps)))


def test_ids_of_many_threads_are_unique_and_increase_within_each() -> None:
    def make(_: int) -> list[str]:
        return [new_id() for _ in range(2_000)]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
    for ids in made:
        assert ids == sorted(ids)
    assert len({text for ids in made for text in ids}) == 8 * 2_000


def test_an_id_is_a_canonical_uuid_of_version_7() -> None:
    for _ in range(1_000):
        text = new_id()
        value = uuid.UUID(text)
        assert str(value) == text
        assert value.version == 7
        assert value.variant == uuid.RFC_4122


def test_an_id_holds_the_millisecond_in_which_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    millisecond = uuid.UUID(new_id()).int >> 80
    # Ids made faster than the clock's grain are counted on ahead of it.
    assert before <= millisecond <= time.time_ns() // 1_000_000 + 10


def test_the_tails_of_ids_are_random() -> None:
    tails = {uuid.UUID(new_id()).int & (1 << 62) - 1 for _ in range(1_000)}
    assert len(tails) == 1_000
    assert max(tails) >> 61 == 1
    assert min(tails) >> 61 == 0


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0190f3a0-1b2c-7d3e-8f40-112233445566", "0190f3a0-1b2c-7d3e-8f40-112233445566"),
        ("0190F3A0-1B2C-7D3E-8F40-112233445566", "0190f3a0-1b2c-7d3e-8f40-112233445566"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("", None),
        ("0190f3a01b2c7d3e8f40112233445566", None),
        ("{190f3a0-1b2c-7d3e-8f40-11223344556}", None),
        ("0190f3a0-1b2c-7d3e-8f40-11223344556", None),
        ("0190f3a0-1b2c-7d3e-8f40-1122334455667", None),
        ("0190f3a0-1b2c-7d3e-8f40-11223344556g", None),
        ("0190f3a01-b2c-7d3e-8f40-112233445566", None),
        (" 190f3a0-1b2c-7d3e-8f40-112233445566", None),
        ("0190f3a0-1b2c-7d3e-8f40-11223344556\n", None),
        ("0190f3a0_1b2c_7d3e_8f40_112233445566", None),
        ("urn:uuid:0190f3a0-1b2c-7d3e-8f40-112", None),
        ("\uff10190f3a0-1b2c-7d3e-8f40-11223344556\uff16", None),
        ("\uff10190f3a0-1b2c-7d3e-8f40-112233445566", None),
    ],
)
def test_a_uuid_has_36_characters_with_hyphens_in_any_case(text: str, canonical: str | None) -> None:
    assert canonical_uuid(text) == canonical


def test_a_new_id_is_canonical_already() -> None:
    text = new_id()
    assert canonical_uuid(text) == text
    assert canonical_uuid(text.upper()) == text
