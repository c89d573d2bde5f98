"""docs/proxies.md says what the tests show, and `doctor --url` leads to sections that it has."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Final

import pytest

from app.outside import CHECKS

FOLDER: Final = Path(__file__).parent
PAGE: Final = (FOLDER.parents[1] / "docs" / "proxies.md").read_text()
#: Fixtures that make a test run once for each proxy.
EACH_PROXY: Final = {"kind", "front", "secure"}


def rows() -> dict[str, list[str]]:
    """The table's tests, each with what is said of the three proxies."""
    found = re.findall(r"^\|[^|]+\| (\w+) \| (\w+) \| (\w+) \| `(test_\w+)` \|$", PAGE, re.MULTILINE)
    return {name: said for *said, name in found}


def shown() -> set[str]:
    """Every test here that runs for each proxy."""
    modules = [importlib.import_module(f"tests.proxies.{file.stem}") for file in FOLDER.glob("test_*.py")]
    functions = [each for module in modules for name, each in vars(module).items() if name.startswith("test_")]
    found = {each.__name__ for each in functions if EACH_PROXY & set(inspect.signature(each).parameters)}
    # Blue-green has one load for all of them.
    return found | {each.__name__ for each in functions if each.__module__.endswith("test_blue_green")}


def test_the_table_has_every_test_and_no_other() -> None:
    assert set(rows()) == shown()
    assert {tuple(said) for said in rows().values()} == {("yes", "yes", "yes")}


@pytest.mark.parametrize("check", CHECKS)
def test_a_remedy_leads_to_a_section(check: str) -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.+)$", PAGE, re.M)
    }
    assert CHECKS[check].section in headings
