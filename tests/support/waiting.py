"""Waiting for something to become so, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(check: Callable[[], Coroutine[Any, Any, T]], timeout_seconds: float = 10.0) -> T: ...
@overload
async def eventually(check: Callable[[], T], timeout_seconds: float = 10.0) -> T: ...
async def eventually(check: Callable[[], Any], timeout_seconds: float = 10.0) -> Any:
    """What `check` returns once it is truthy and raises no AssertionError; else fails with its last word."""
    deadline = time.monotonic() + timeout_seconds
    pause = 0.001
    while True:
        try:
            result = check()
            value = await result if inspect.isawaitable(result) else result
            if value:
                return value
            problem: AssertionError = AssertionError(f"still {value!r} after {timeout_seconds} s")
        except AssertionError as error:
            problem = error
        if time.monotonic() >= deadline:
            raise problem
        await asyncio.sleep(pause)
        pause = min(pause * 2, 0.05)
