"""docs/sagas.md, "Add a step in ten minutes", done as it stands there, in a copy of the sources."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.browser.chromium import missing
from tests.browser.stage import Stage, stories
from tests.support.required import require
from tests.walks.example import Block, changed, example
from tests.walks.tree import ROOT, Tree

PAGE: Final = ROOT / "docs" / "sagas.md"
FILES_MAX: Final = 3
GOLDEN: Final = "tests/domain/bookings/golden/sequences.txt"
#: Of every room that tells or counts steps.
TESTS: Final = (
    "tests/domain/bookings/test_scenarios.py::test_a_failure_undoes_exactly_the_steps_before_it_last_first",
    "tests/domain/bookings/test_scenarios.py::test_a_capture_that_is_given_up_is_refunded_whatever_the_provider_did",
    "tests/domain/bookings/test_cancel_saga.py::test_in_a_pause_what_was_done_is_undone_last_first",
    "tests/domain/bookings/test_facts.py::test_a_booking_tells_its_seats_its_money_its_miles_and_its_reference",
    "tests/domain/bookings/test_sequences.py",
    "tests/schema/test_definitions.py",
    "tests/schema/test_sdl.py",
    "tests/schema/test_mutations.py::test_a_booking_is_a_saga_that_is_durable_and_runs",
    "tests/schema/test_mutations.py::test_an_operator_gives_a_compensation_up_on_the_record",
    "tests/app/test_server.py::test_the_scenarios_are_as_they_should_be_and_watch_draws_a_saga",
)


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return example(PAGE, "Add a step in ten minutes")


@pytest.fixture(scope="module")
def tree(blocks: list[Block], tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The copy, with the step in it."""
    tree = Tree(tmp_path_factory.mktemp("walk"))
    assert tree.touched() == set()
    for block in blocks:
        if block.of != "run":
            block.write(tree.folder)
        for command in block.commands:
            tree.run(*shlex.split(command))
    return tree


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A server that runs the copy, and a browser."""
    require("BROWSER", missing())
    stage = Stage(tmp_path_factory.mktemp("stage"), {}, variables={"PYTHONPATH": str(tree.folder)})
    try:
        await stage.start()
        yield stage
    finally:
        await stage.close()


def test_at_most_three_files_are_touched_before_the_tests(tree: Tree) -> None:
    sources = {path for path in tree.touched() if not path.startswith("tests/")}
    assert len(sources) <= FILES_MAX, sources
    assert tree.touched() - sources == {"tests/domain/bookings/test_partner.py", GOLDEN}


def test_the_golden_file_gains_the_step_and_nothing_else_changes(tree: Tree) -> None:
    golden = (tree.folder / GOLDEN).read_text()
    assert "  STEP_COMPLETED NOTIFY_PARTNER\n" in golden
    assert "  COMPENSATION_COMPLETED WITHDRAW_NOTICE\n" in golden
    without = re.sub(r"^BOOK_AND_EARN version 4, NOTIFY_PARTNER fails\n.*?\n\n", "", golden, flags=re.S | re.M)
    without = re.sub(r"^  \w+ (NOTIFY_PARTNER|WITHDRAW_NOTICE)\n", "", without, flags=re.M)
    assert without.replace("BOOK_AND_EARN version 4", "BOOK_AND_EARN version 3") == (ROOT / GOLDEN).read_text()


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo", "seatsaga schema --check"],
)
def test_the_checks_pass(tree: Tree, command: str) -> None:
    tree.run(*f".venv/bin/{command}".split())


def test_the_consoles_check_passes(tree: Tree) -> None:
    is_there = shutil.which("npm") is not None and (tree.folder / "console" / "node_modules").is_dir()
    require("CLIENTS", None if is_there else "The console is not checked: it needs Node 20.19 or newer, and npm.")
    tree.run("npm", "run", "--silent", "check", within="console")


def test_the_tests_that_are_there_pass_with_the_step(tree: Tree) -> None:
    tree.pytest(*TESTS)


@pytest.mark.asyncio(loop_scope="module")
@stories("added")
async def test_the_console_draws_the_step(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("story", ["a failure at each step turns the line round there"])
async def test_the_consoles_line_takes_its_steps_from_the_definition(stage: Stage, story: str) -> None:
    await stage.tell("line", story)


@pytest.mark.parametrize("hunk", [" one\n+x\n", " five\n+x\n"], ids=["twice", "nowhere"])
def test_a_hunk_that_has_not_one_place_is_refused(hunk: str) -> None:
    with pytest.raises(AssertionError, match="instead of once"):
        changed("one\ntwo\none\n", hunk)
