"""What a text may name, and what it may not."""

from __future__ import annotations

import pytest

from domain.search import Wanted

ID = "8c1f2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b"
DIGITS = ID.replace("-", "")


def wanted(text: str) -> Wanted:
    found = Wanted.of(text)
    assert found is not None, text
    return found


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (ID, DIGITS),
        (ID.upper(), DIGITS),
        (f'  "{ID}",\n', DIGITS),
        (f"urn:uuid:{ID}", DIGITS),
        (f"{{{ID}}}", DIGITS),
        (DIGITS, DIGITS),
        (f"\u201c{ID}\u201d", DIGITS),
        (f"{ID[:13]}\u2026", DIGITS[:12]),
        (ID[:13], DIGITS[:12]),
        (ID[:9], DIGITS[:8]),
        ("8c1f", "8c1f"),
        ("8c1", None),
        ("8c1f-2a3b", None),
        ("2026-12-01", None),
        (f"{ID}0", None),
        ("Lovelace", None),
    ],
)
def test_a_correlation_id_is_known_by_its_beginning(text: str, digits: str | None) -> None:
    assert wanted(text).id_digits == digits
    assert wanted(text).is_whole_id is (digits == DIGITS)


@pytest.mark.parametrize(
    ("text", "flight"),
    [
        ("SS101", ("SS101", None)),
        ("ss 101", ("SS101", None)),
        ("SS101 2026-12-01", ("SS101", "2026-12-01")),
        ("2026-12-01 ss101", ("SS101", "2026-12-01")),
        ("SS101/2026-12-01", ("SS101", "2026-12-01")),
        ("BAW0178A", ("BAW0178A", None)),
        ("SS101 2026-02-30", (None, None)),
        ("SS101 12026-12-01", (None, None)),
        ("2026-12-01", (None, None)),
        # A member's number.
        ("SS0000001", (None, None)),
    ],
)
def test_a_flight_is_named_by_its_number_and_perhaps_a_date(text: str, flight: tuple[str | None, str | None]) -> None:
    assert (wanted(text).number, wanted(text).departs_on) == flight


@pytest.mark.parametrize(("text", "reference"), [("k7pq2m", "K7PQ2M"), ("K7PQ2", None), ("K7PQ2O", None)])
def test_a_reference_has_six_characters_of_its_alphabet(text: str, reference: str | None) -> None:
    assert wanted(text).reference == reference


@pytest.mark.parametrize("text", ["", "   ", "\u200b\ufeff", "\x00\x1b", "\ud800", "\u2028", '"#;'])
def test_a_text_without_a_visible_character_names_nothing(text: str) -> None:
    assert Wanted.of(text) is None


def test_invisible_characters_within_a_text_are_left_out() -> None:
    assert wanted("\ufeffGar\u200bc\u00ada\x00\ud800 \t Lopez").verbatim == "Garca Lopez"
