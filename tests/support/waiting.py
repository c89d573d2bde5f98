"""Waiting for something to become so, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")

#: However slow the machine, nothing is waited for so many times as long as the test says.
SLOWNESS_MAX: Final = 4


class Gate:
    """Closed until it is opened; who would pass waits, in a task or on the thread that a transaction runs on."""

    def __init__(self) -> None:
        self._opened = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether it was opened."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let everyone pass, from whichever thread."""
        self._opened.set()

    async def passed(self, timeout_seconds: float = 10.0) -> None:
        """Wait until it is open."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            assert self._opened.wait(timeout_seconds), "nobody opened the gate"
            return
        await eventually(self._opened.is_set, timeout_seconds)


@overload
async def eventually(check: Callable[[], Coroutine[Any, Any, T]], timeout_seconds: float = 10.0) -> T: ...
@overload
async def eventually(check: Callable[[], T], timeout_seconds: float = 10.0) -> T: ...
async def eventually(check: Callable[[], Any], timeout_seconds: float = 10.0) -> Any:
    """What `check` returns once it is truthy and raises no AssertionError; else fails with its last word.

    The seconds are those of the pauses between two looks. On a busy machine each look and each pause takes longer, so
    that there are as many looks as on an idle one.
    """
    deadline = time.monotonic() + SLOWNESS_MAX * timeout_seconds
    paused, pause = 0.0, 0.001
    while True:
        try:
            result = check()
            value = await result if inspect.isawaitable(result) else result
            if value:
                return value
            problem: AssertionError = AssertionError(f"still {value!r} after {timeout_seconds} s")
        except AssertionError as error:
            problem = error
        if paused >= timeout_seconds or time.monotonic() >= deadline:
            raise problem
        await asyncio.sleep(pause)
        paused += pause
        pause = min(pause * 2, 0.05)
