"""The code that docs/clients.md shows, held to the files that it is taken from.

A line `<!-- FILE -->` or `<!-- FILE#REGION -->` stands above each block of code. A region is what lies between
`#region REGION` and `#endregion` in that file. Run as a program, this writes the blocks anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["PAGE", "Snippet", "regions", "shown", "source", "written_anew"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "clients.md"
_SNIPPET: Final = re.compile(
    r"^<!-- (?P<of>\S+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_REGION: Final = re.compile(
    r"^(?://|#) #region (?P<name>\w+)\n(?P<text>.*?)^(?://|#) #endregion$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Snippet:
    """A block of the page: `of` says where it is from."""

    of: str
    language: str
    text: str


def shown() -> list[Snippet]:
    """The page's blocks, in order."""
    return [Snippet(**found.groupdict()) for found in _SNIPPET.finditer(PAGE.read_text())]


def source(of: str) -> str:
    """What a block that is `of` must show; raises KeyError where there is no such region."""
    name, _, region = of.partition("#")
    text = (ROOT / name).read_text()
    return regions(text)[region] if region else text


def regions(text: str) -> dict[str, str]:
    """The regions of a file."""
    return {found["name"]: found["text"].strip("\n") + "\n" for found in _REGION.finditer(text)}


def written_anew() -> str:
    """The page, each block as its source now is."""
    return _SNIPPET.sub(lambda it: f"<!-- {it['of']} -->\n```{it['language']}\n{source(it['of'])}```", PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(written_anew())
