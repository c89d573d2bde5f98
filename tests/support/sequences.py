"""The order of steps, as the definitions have it: a test that states a whole sequence takes it from here.

What the sequences are today stands in one place alone: tests/domain/bookings/golden/sequences.txt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from domain.bookings import build_definitions
from domain.saga import SagaDefinition
from sandbox import SandboxGateway, SqliteBooks

__all__ = ["BOOKINGS", "CANCELLATION", "EARN", "REDEEM", "steps_of", "undone"]

# Nothing calls its gateway.
_DEFINITIONS: Final = build_definitions(SandboxGateway(SqliteBooks(Path("unused.db"))), hold_seconds=900)
EARN: Final = _DEFINITIONS.book_and_earn
REDEEM: Final = _DEFINITIONS.book_and_redeem
CANCELLATION: Final = _DEFINITIONS.cancel_booking
#: The sagas that book.
BOOKINGS: Final = (EARN, REDEEM)


def steps_of(definition: SagaDefinition) -> list[str]:
    """The names of its steps, in order."""
    return [step.name for step in definition.steps]


def undone(definition: SagaDefinition, failing: str, *, lost: bool = False) -> tuple[str, ...]:
    """The compensations that run if the step `failing` fails, in their order: of the steps before it, last first.

    `lost`: it was given up without an answer, so it may have had an effect and is undone too.
    """
    position = steps_of(definition).index(failing)
    done = definition.steps[: position + lost]
    return tuple(step.compensation.name for step in reversed(done) if step.compensation is not None)
