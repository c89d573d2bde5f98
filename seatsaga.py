"""The command `seatsaga`: it runs our own packages, and refuses to start with others of the same name."""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

__all__ = ["main"]

EXIT_REFUSED = 2


def main() -> None:
    """Run the command that is asked for. Exits with 2 and one line if a foreign package would be imported for ours."""
    refusal = _foreign_package()
    if refusal is not None:
        print(f"seatsaga: {refusal}", file=sys.stderr)
        sys.exit(EXIT_REFUSED)
    from app.cli import main as run

    run()


def _foreign_package() -> str | None:
    """Which of our packages Python would not import from where this file is, and what to do; None if all is well."""
    home = Path(__file__).resolve().parent
    for name in (distribution("seatsaga").read_text("top_level.txt") or "").split():
        spec = find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
        if found is None:
            return f"its package {name!r} is missing in {home}; install seatsaga anew."
        if home not in found.parents:
            return (
                f"Python would import {found} as seatsaga's package {name!r}, which is in {home}. Take its folder out "
                "of PYTHONPATH, or install seatsaga by itself with pipx or uv tool."
            )
    return None
