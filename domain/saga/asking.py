"""Calls the functions of a step and checks their answers; an error names the function that breaks its contract.

A function that answers None, too few verdicts or another type would otherwise cause an error much later, at an
unrelated saga. Here it is a fault of the function; a turn treats it like any other fault of a step.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from domain.saga.definition import Batch

__all__ = ["answer_of", "ask", "name_of"]

A = TypeVar("A")
B = TypeVar("B")


async def ask(
    function: Callable[[Batch[Any]], Awaitable[Sequence[A]]], batch: Batch[Any], allowed: tuple[type, ...]
) -> Sequence[A]:
    """The answer of a step's `function` for `batch`: one verdict a member. Else raises TypeError, which names it."""
    verdicts: Any = await answer_of(function, batch)
    number = len(batch.members)
    if not isinstance(verdicts, Sequence) or len(verdicts) != number:
        size = f" of {len(verdicts)}" if isinstance(verdicts, Sequence) else ""
        raise TypeError(
            f"{name_of(function)} answered {_kind(verdicts)}{size} for a batch of {number};"
            " it must answer a verdict each."
        )
    for verdict in verdicts:
        if not isinstance(verdict, allowed):
            may = ", ".join("None" if kind is type(None) else kind.__name__ for kind in allowed)
            raise TypeError(f"{name_of(function)} answered {_kind(verdict)} for a saga; it may answer {may}.")
    return verdicts


async def answer_of(function: Callable[[B], Any], about: B) -> Any:
    """The answer of a step's `function`. Raises its exceptions, and TypeError if it is not an async function.

    Raises RuntimeError, which names it, if its exception would end more than its saga: SystemExit, or CancelledError
    though this task was not cancelled (for example, the function awaits another task that was).
    """
    try:
        answer = function(about)
        if not inspect.isawaitable(answer):
            raise TypeError(f"{name_of(function)} answered {_kind(answer)}; it must be an async function.")
        return await answer
    except (asyncio.CancelledError, SystemExit) as error:
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        raise RuntimeError(f"{name_of(function)} raised {type(error).__name__}.") from error


def _is_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # This runs on the thread of a SQLite connection, where nothing is cancelled.
        return False
    return task is not None and task.cancelling() > 0


def name_of(function: Callable[..., Any]) -> str:
    """The full name of a step's function, for an error message."""
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _kind(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"
