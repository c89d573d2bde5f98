"""Asks the functions of a step, and holds them to their contract: whoever breaks it is named.

A function that answers None, too few verdicts or another type would be found out much later, at a saga that is
nobody's fault. Here it is a fault of the function, which a turn treats as any other fault of a step.
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
    """What a step's `function` answers for `batch`: a verdict each. Raises TypeError, which names it, otherwise."""
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
    """What a step's `function` answers. Raises what it raises, and TypeError where it is no async function.

    RuntimeError, which names it, where it raises what would end more than its saga: SystemExit, or CancelledError
    though nobody has cancelled this task, as when it awaits what something else has cancelled.
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
        # On the thread of a SQLite connection, where nothing is cancelled.
        return False
    return task is not None and task.cancelling() > 0


def name_of(function: Callable[..., Any]) -> str:
    """A step's function by its full name, for whoever must find it."""
    while isinstance(function, functools.partial):
        function = function.func
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _kind(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"
