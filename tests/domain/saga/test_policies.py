"""docs/sagas.md says how long and how often something is tried: as the policies do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from domain.bookings.definitions import outline
from domain.saga.definition import COMPENSATION_POLICY, RetryPolicy
from domain.saga.states import Direction

DOCS: Final = Path(__file__).parents[3] / "docs" / "sagas.md"


def waits(policy: RetryPolicy) -> str:
    """The bounds of the waits between attempts."""
    bounds = ", ".join(f"{policy.backoff_seconds(attempt):g}" for attempt in (1, 2, 3, 4))
    return f"{policy.floor_seconds:g} to {bounds}, ... {policy.cap_seconds:g}"


def slow_waits(policy: RetryPolicy) -> str:
    """The waits between tries of what is stuck."""
    seconds, found = policy.stuck_seconds, list[str]()
    while seconds < policy.stuck_seconds_max:
        found.append(f"{seconds:g}")
        seconds *= 2
    return ", ".join([*found, f"{policy.stuck_seconds_max:g}", f"{policy.stuck_seconds_max:g}", "..."])


def table() -> str:
    """The table of the docs, from the policies."""
    definitions = outline()
    booking = definitions.book_and_earn
    step = booking.operation(1, Direction.FORWARD)[2]
    undo = COMPENSATION_POLICY
    for definition in definitions.current:
        for position, each in enumerate(definition.steps):
            if position <= definition.pivot_index and definition.pivot_index > 0:
                assert definition.operation(position, Direction.FORWARD)[2] == step
            elif position > definition.pivot_index:
                assert definition.operation(position, Direction.FORWARD)[2] == undo
            if each.compensation is not None:
                assert each.compensation.policy == undo
    rows = [
        (
            "a failure that may pass is tried for",
            f"{step.budget_seconds:g} s from the first attempt, or a quarter of the hold if less",
            f"{undo.budget_seconds / 3_600:g} h",
        ),
        ("and then", "the step FAILED, compensations", "STUCK"),
        ("waits, random, s", waits(step), waits(undo)),
        ("a refusal for good has attempts", "1", f"{undo.refusals_max}, then STUCK"),
        ("a fault of ours has attempts", f"{step.refusals_max}, then FAILED", f"{undo.refusals_max}, then STUCK"),
        (
            "one call may take, s",
            f"{step.attempt_timeout_seconds:g}, or the budget if less",
            f"{undo.attempt_timeout_seconds:g}",
        ),
        ("STUCK is tried again after, s", "", slow_waits(undo)),
    ]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in rows)


def test_the_table_in_the_docs_is_that_of_the_policies() -> None:
    assert table() in DOCS.read_text(encoding="utf-8")
