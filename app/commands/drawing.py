"""How a saga looks on a terminal: one line an event, then its steps as a line of stations."""

from __future__ import annotations

from typing import Any, Final

from app.commands.terminal import Terminal, as_data

__all__ = ["SagaDrawing"]

_LOOKS: Final = {
    "SAGA_STARTED": ("●", "bold"),
    "STEP_STARTED": ("▶", "cyan"),
    "STEP_COMPLETED": ("✔", "green"),
    "STEP_FAILED": ("✘", "red"),
    "STEP_RETRYING": ("↻", "yellow"),
    "STEP_SKIPPED": ("–", "dim"),
    "HOLD_EXPIRED": ("⌛", "yellow"),
    "CANCEL_REQUESTED": ("■", "yellow"),
    "COMPENSATION_STARTED": ("◀", "magenta"),
    "COMPENSATION_COMPLETED": ("↩", "magenta"),
    "COMPENSATION_RETRYING": ("↻", "yellow"),
    "COMPENSATION_SKIPPED": ("–", "yellow"),
    "SAGA_COMPLETED": ("✔", "bold green"),
    "SAGA_COMPENSATED": ("↩", "bold magenta"),
    "SAGA_STUCK": ("!", "bold red"),
    "SAGA_PARKED": ("P", "bold red"),
    "SAGA_RESUMED": ("▶", "bold"),
    "SAGA_ABANDONED": ("✘", "bold red"),
}
_STATION: Final = {"COMPLETED": "●", "FAILED": "✘", "SKIPPED": "–", "PENDING": "○", "STUCK": "!"}


class SagaDrawing:
    """Draws to `console`; `indent` sets several sagas apart."""

    def __init__(self, console: Terminal, indent: str = "") -> None:
        self._console = console
        self._indent = indent

    def draw(self, event: dict[str, Any]) -> None:
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
