"""docs/api.md lists every code that the server can answer, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain.bookings import RefusalCode

ROOT: Final = Path(__file__).parents[2]
OUTCOMES: Final = {"Refused", "Unknown", "NotSent", "Failure"}
CODE: Final = re.compile(r"[A-Z][A-Z_]+")


def documented(heading: str) -> list[str]:
    """The codes of the table below a heading of docs/api.md."""
    section = (ROOT / "docs" / "api.md").read_text("utf-8").partition(f"### {heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)


def failures() -> Iterator[str]:
    """The codes of outcomes and failures in the source: given directly, or in a table of declined cards."""
    for path in [*ROOT.glob("domain/**/*.py"), *ROOT.glob("sandbox/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in OUTCOMES:
                yield from _codes(node.args[0])
            if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "_DECLINED":
                assert isinstance(node.value, ast.Dict)
                for value in node.value.values:
                    assert isinstance(value, ast.Tuple)
                    yield from _codes(value.elts[0])


def _codes(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value


def test_every_code_of_a_refusal_is_listed_once_in_order() -> None:
    assert documented("Codes of refusals") == sorted(code.value for code in RefusalCode)


def test_every_code_of_a_failure_is_listed_once_in_order() -> None:
    listed = documented("Codes of failures")
    assert listed == sorted(set(listed))
    assert set(failures()) - set(listed) == set()


def test_every_refusal_is_used() -> None:
    source = "".join(
        path.read_text("utf-8") for folder in ("domain", "schema") for path in ROOT.glob(f"{folder}/**/*.py")
    )
    assert {code.name for code in RefusalCode if f"RefusalCode.{code.name}" not in source} == set()
