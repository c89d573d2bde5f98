"""The terminal that commands print to: text without markup, progress bars, and drawings of sagas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from app.escaping import escaped

__all__ = ["ProgressBar", "SagaDrawing", "Terminal", "as_data"]

_LOOKS: Final = {
    "SAGA_STARTED": ("●", "bold"),
    "STEP_STARTED": ("▶", "cyan"),
    "STEP_COMPLETED": ("✔", "green"),
    "STEP_FAILED": ("✘", "red"),
    "STEP_RETRYING": ("↻", "yellow"),
    "STEP_SKIPPED": ("–", "dim"),
    "STEP_WAITING": ("◷", "yellow"),
    "STEP_RESUMED": ("▶", "cyan"),
    "HOLD_EXPIRED": ("⌛", "yellow"),
    "CANCEL_REQUESTED": ("■", "yellow"),
    "COMPENSATION_STARTED": ("◀", "magenta"),
    "COMPENSATION_COMPLETED": ("↩", "magenta"),
    "COMPENSATION_RETRYING": ("↻", "yellow"),
    "COMPENSATION_SKIPPED": ("–", "yellow"),
    "COMPENSATION_WAITING": ("◷", "yellow"),
    "SAGA_COMPLETED": ("✔", "bold green"),
    "SAGA_COMPENSATED": ("↩", "bold magenta"),
    "SAGA_STUCK": ("!", "bold red"),
    "SAGA_PARKED": ("P", "bold red"),
    "SAGA_RESUMED": ("▶", "bold"),
    "SAGA_ABANDONED": ("✘", "bold red"),
}
_STATION: Final = {"COMPLETED": "●", "FAILED": "✘", "SKIPPED": "–", "PENDING": "○", "WAITING": "◷", "STUCK": "!"}


class Terminal(Console):
    """rich's console, but it prints text literally: no markup, no emoji codes, no escape sequences.

    Each printed text, and each cell and title of a table, is one line; only `style` sets its style.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **looks: Any) -> Text:
        """As rich does, with unprintable characters escaped."""
        return super().render_str(escaped(text), **looks)


def as_data(text: str, style: str = "") -> Text:
    """`text` in `style`, with unprintable characters escaped."""
    return Text(escaped(text), style=style)


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


class SagaDrawing:
    """Draws to `console`; `indent` sets several sagas apart."""

    def __init__(self, console: Terminal, indent: str = "") -> None:
        self._console = console
        self._indent = indent

    def draw(self, event: Mapping[str, Any]) -> None:
        """One line for an event."""
        sign, style = _LOOKS.get(event["type"], ("·", ""))
        name = event["compensation"] or event["step"] or ""
        clock = event["at"][11:23]
        line = f"{self._indent}{clock} {event['sequence']:>3} {sign} {event['type']:<23} {name:<22} {event['message']}"
        self._console.print(as_data(line.rstrip(), style), soft_wrap=True)

    def conclude(self, saga: dict[str, Any]) -> None:
        """The steps as they ended, in one line."""
        stations = " ── ".join(f"{_STATION.get(step['status'], '▶')} {step['name']}" for step in saga["steps"])
        self._console.print(as_data(f"{self._indent}{stations}   {saga['status']}", "bold"), soft_wrap=True)
