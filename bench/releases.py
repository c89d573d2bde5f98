"""`python -m bench --release NAME`: one line a release in bench/history.md, from the results of the last run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["add_release"]

HISTORY: Final = Path(__file__).with_name("history.md")
#: As the columns of the page: the figure's name, what is shown of it, and how.
_COLUMNS: Final = (
    ("engine", "ratio", "{:.2f}"),
    ("http", "ratio", "{:.2f}"),
    ("http_polled", "ratio", "{:.2f}"),
    ("http_cpu", "value", "{:.2f} ms"),
    ("one_at_a_time", "ratio", "{:.2f}"),
    ("growth", "ratio", "{:.2f}"),
    ("fan_out_the_event_p99", "value", "{:.0f} ms"),
    ("pg_engine", "ratio", "{:.2f}"),
    ("pg_two", "ratio", "{:.2f}"),
)


def add_release(name: str, results: Path, history: Path = HISTORY, *, now: Callable[[], datetime] | None = None) -> str:
    """Append the line of release `name` to `history`, and return it. What was not measured is left empty."""
    document = msgspec.json.decode(results.read_bytes())
    figures: dict[str, Any] = document["figures"]
    day = (now() if now else datetime.now(UTC)).date().isoformat()
    cells = [shape.format(figures[of][key]) if of in figures else "" for of, key, shape in _COLUMNS]
    line = f"| {' | '.join((name, day, document['python'], *cells))} |"
    with history.open("a") as page:
        page.write(f"{line}\n")
    return line
