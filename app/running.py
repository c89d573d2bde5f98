"""Runs the coroutine of a command, and reports an interrupt as an interrupt."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_command"]

T = TypeVar("T")


def run_command(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, as asyncio.run does. Raises KeyboardInterrupt if SIGINT ended it.

    asyncio.run cancels the task, too. But a query that is cancelled may raise the server's own error, and asyncio.run
    would raise that error. A second SIGINT does not wait for the clean-up.
    """
    is_interrupted = False

    async def interruptible() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            nonlocal is_interrupted
            if is_interrupted:
                raise KeyboardInterrupt
            is_interrupted = True
            task.cancel()

        # Python delivers signals to the main thread alone.
        if threading.current_thread() is threading.main_thread():
            loop.add_signal_handler(signal.SIGINT, interrupt)
        return await main

    try:
        return asyncio.run(interruptible())
    except (Exception, asyncio.CancelledError) as error:
        if is_interrupted:
            raise KeyboardInterrupt from error
        raise
