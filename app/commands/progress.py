"""How far a command has come, drawn on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

__all__ = ["ProgressBar"]


class ProgressBar:
    """A bar that appears with the first report."""

    def __init__(self, console: Console, name: str) -> None:
        self._name = name
        self._started = False
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console)

    def __enter__(self) -> Callable[[int, int], None]:
        task = None

        def report(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                self._bar.start()
                self._started = True
                task = self._bar.add_task(self._name, total=total)
            self._bar.update(task, completed=done)

        return report

    def __exit__(self, *ended: object) -> None:
        if self._started:
            self._bar.stop()
