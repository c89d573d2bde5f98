"""docs/api.md lists every code that the server can answer, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain.bookings import FAILURES, FailureAdvice, RefusalCode, advice_on
from domain.bookings.codes import FACTS
from domain.payments import DECLINES

ROOT: Final = Path(__file__).parents[2]
#: The calls that make an outcome, whose first argument is its code. `Answer` is the sandbox's.
OUTCOMES: Final = {"Refused", "Unknown", "NotSent", "Failure", "Answer"}
#: Answers of the sandbox that reach no saga.
NO_FAILURES: Final = {"OK", "NEEDS_HOLDER", "NOTHING_TO_CONFIRM", "NOTHING_TO_FINISH"}
CODE: Final = re.compile(r"[A-Z][A-Z_]+")


def documented(heading: str) -> dict[str, str]:
    """The codes of the table below a heading of docs/api.md, and the last cell of each."""
    section = (ROOT / "docs" / "api.md").read_text("utf-8").partition(f"### {heading}\n")[2].partition("\n#")[0]
    codes = section.rpartition("| Code |")[2]
    return dict(re.findall(r"^\| `([A-Z_]+)` \|.*\|([^|]*)\|$", codes, re.MULTILINE))


def failures() -> Iterator[str]:
    """The codes of outcomes and failures in the source: given directly, or by a constant or variable of the module."""
    for path in [*ROOT.glob("domain/**/*.py"), *ROOT.glob("sandbox/*.py")]:
        tree = ast.parse(path.read_text("utf-8"))
        named = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign | ast.Assign)
            for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
            if isinstance(target, ast.Name) and node.value is not None
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in OUTCOMES:
                code = node.args[0]
                yield from _codes(named.get(code.id, code) if isinstance(code, ast.Name) else code)
            if isinstance(node, ast.keyword) and node.arg == "refusal":
                yield from _codes(node.value)


def _codes(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value


def test_every_code_of_a_refusal_is_listed_once_in_order() -> None:
    assert list(documented("Codes of refusals")) == sorted(code.value for code in RefusalCode)


def test_the_facts_of_every_refusal_are_listed() -> None:
    listed = {code: tuple(re.findall(r"`(\w+)`", cell)) for code, cell in documented("Codes of refusals").items()}
    known = {code.value: names for code, names in FACTS.items()}
    assert {code: names for code, names in listed.items() if names} == known


def test_every_code_of_a_failure_has_its_advice() -> None:
    assert {*failures(), *DECLINES} - NO_FAILURES - set(FAILURES) == set()


def test_every_code_of_a_failure_is_listed_once_in_order_with_its_advice() -> None:
    listed = {code: cell.strip(" `") for code, cell in documented("Codes of failures").items()}
    assert listed == {code: advice.value for code, advice in FAILURES.items()}
    assert list(listed) == sorted(listed)


def test_every_advice_says_what_a_frontend_offers() -> None:
    section = (ROOT / "docs" / "api.md").read_text("utf-8").partition("| Advice | What")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == {advice.value for advice in FailureAdvice}


def test_a_code_that_nobody_knows_is_one_for_people() -> None:
    assert advice_on("A_CODE_OF_A_STEP_THAT_SOMEBODY_ADDED") is FailureAdvice.CONTACT_US


def test_every_refusal_is_used() -> None:
    source = "".join(
        path.read_text("utf-8") for folder in ("domain", "schema") for path in ROOT.glob(f"{folder}/**/*.py")
    )
    assert {code.name for code in RefusalCode if f"RefusalCode.{code.name}" not in source} == set()
