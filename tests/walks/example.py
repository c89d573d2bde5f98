"""An example of the documents: its blocks of code in order, and how each is carried out.

Above each block stands a line `<!-- FILE -->` or `<!-- run -->`::

    <!-- run -->     shell commands
    <!-- FILE -->    a new file, whole; or ```diff: what changes in one that is there

In a diff each hunk names its place by the lines that stay, and `@@` stands for what is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Block", "changed", "example"]

_BLOCK: Final = re.compile(r"^<!-- (?P<of>\S+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """`of`: the file that it is, or changes; `run` where it is commands."""

    of: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The lines to run; none where it is a file's."""
        return self.text.splitlines() if self.of == "run" else []

    def write(self, tree: Path) -> None:
        """Make the file, or change the one that is there. Fails where the block does not fit it."""
        path = tree / self.of
        if self.language == "diff":
            path.write_text(changed(path.read_text(), self.text))
            return
        assert not path.exists(), f"{self.of} is there already"
        path.write_text(self.text)


def example(page: Path, headline: str) -> list[Block]:
    """The blocks between `headline` and the next one. Fails where a block does not say what it is."""
    section = re.split(r"^##+ ", page.read_text().partition(f"\n## {headline}\n")[2], flags=re.MULTILINE)[0]
    assert section, f"{page.name} has no section {headline!r}"
    blocks = [Block(**found.groupdict()) for found in _BLOCK.finditer(section)]
    assert len(blocks) * 2 == len(re.findall(r"^```", section, re.MULTILINE)), "a block does not say what it is"
    for block in blocks:
        assert block.of == "run" or f"`{block.of}`" in section, f"no sentence names {block.of}"
    return blocks


def changed(text: str, diff: str) -> str:
    """`text` after each hunk of `diff`; fails where a hunk has no place in it, or more than one."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert text.count(before) == 1, f"this stands there {text.count(before)} times instead of once:\n{before}"
        text = text.replace(before, after)
    return text
