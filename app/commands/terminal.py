"""The terminal that commands print to: what they print is data, and stays what it is."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from app.escaping import escaped

__all__ = ["Terminal", "as_data"]


class Terminal(Console):
    """rich's console, to which a text is a text: no markup, no emoji codes, nothing that a terminal obeys.

    Each text printed, and each cell and title of a table, is one line; looks come from `style` alone.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **looks: Any) -> Text:
        """As rich does, of what can be printed."""
        return super().render_str(escaped(text), **looks)


def as_data(text: str, style: str = "") -> Text:
    """`text` with looks of its own, of what can be printed."""
    return Text(escaped(text), style=style)
