"""A command that is interrupted says so, whatever its clean-up raises."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.running import run_command
from domain.errors import StorageError


async def interrupted() -> None:
    """Wait until SIGINT cancels the task."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()


async def ends_in_the_servers_words() -> None:
    try:
        await interrupted()
    except asyncio.CancelledError:
        raise StorageError("canceling statement due to user request") from None


async def forgets_that_it_was_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        await interrupted()
    except asyncio.CancelledError:
        task.uncancel()
        raise StorageError("the connection was closed") from None


@pytest.mark.parametrize("command", [interrupted, ends_in_the_servers_words, forgets_that_it_was_cancelled])
def test_an_interrupt_is_an_interrupt_whatever_the_command_raises(
    command: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_command(command())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_does_not_wait_for_the_clean_up() -> None:
    async def stays() -> None:
        try:
            await interrupted()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_command(stays())


def test_without_an_interrupt_the_result_or_the_error_is_the_commands() -> None:
    async def fails() -> None:
        raise StorageError("the disk is full")

    async def succeeds() -> int:
        return 7

    assert run_command(succeeds()) == 7
    with pytest.raises(StorageError, match="the disk is full"):
        run_command(fails())
