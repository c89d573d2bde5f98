"""What a reason may be."""

from __future__ import annotations

import pytest

from domain.actors import REASON_CHARACTERS_MAX, reason_fault


@pytest.mark.parametrize(
    "reason", ["x", " Refunded by hand, see #1234. ", "R\u00fcckzahlung \u8fd4\u91d1", "r" * REASON_CHARACTERS_MAX]
)
def test_one_line_of_text_is_a_reason(reason: str) -> None:
    assert reason_fault(reason) is None


@pytest.mark.parametrize(
    ("reason", "fault"),
    [
        ("", "blank"),
        (" \u00a0\u2003", "blank"),
        ("r" * (REASON_CHARACTERS_MAX + 1), "at most 500"),
        ("one\ntwo", "line breaks"),
        ("one\rtwo", "line breaks"),
        ("one\u2028two", "line breaks"),
        ("\x1b]0;title\x07", "control characters"),
        ("right\u202eto left", "control characters"),
        ("null\x00", "control characters"),
        ("half of a pair \ud800", "control characters"),
    ],
)
def test_whatever_else_is_refused_and_says_what_to_do(reason: str, fault: str) -> None:
    assert fault in (reason_fault(reason) or "")
