"""Why an operator acts: one line of text that is kept for good, judged alike wherever it is given."""

from __future__ import annotations

from typing import Final

__all__ = ["REASON_CHARACTERS_MAX", "reason_fault"]

REASON_CHARACTERS_MAX: Final = 500


def reason_fault(reason: str) -> str | None:
    """What is wrong with `reason` and what to do about it, as one sentence; None where it can be kept."""
    if not reason.strip():
        return f"The reason must not be blank; give one of 1 to {REASON_CHARACTERS_MAX} characters."
    if len(reason) > REASON_CHARACTERS_MAX:
        return f"The reason must have at most {REASON_CHARACTERS_MAX} characters; it has {len(reason)}."
    if not reason.isprintable():
        return "The reason must not hold line breaks or control characters; give one line of text."
    return None
