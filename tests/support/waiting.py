"""Waiting for something to become so, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], T | Awaitable[T]], timeout_seconds: float = 10.0) -> T:
    """What `check` returns once it is truthy and raises no AssertionError; fails with its last word after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    pause = 0.001
    while True:
        try:
            result = check()
            value: T = await result if inspect.isawaitable(result) else result  # pyright: ignore
            if value:
                return value
            problem: AssertionError = AssertionError(f"still {value!r} after {timeout_seconds} s")
        except AssertionError as error:
            problem = error
        if time.monotonic() >= deadline:
            raise problem
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
