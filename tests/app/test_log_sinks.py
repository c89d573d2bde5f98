"""Each place that log lines go to stands or falls by itself, and says what it lost."""

from __future__ import annotations

import io
import json
import logging
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.observability.files import LogFile
from app.observability.lines import Line, LogFormat, Marker, form_of, redact
from app.observability.logging import BOOKINGS_FILE, ORCHESTRATOR_FILE, Logs
from app.observability.metrics import SinkCounts
from domain.saga import Committed
from tests.app.test_logging import SAGA, Saga
from tests.support.waiting import eventually

NASTY: Final = (
    "a\nb",
    "a\r\nb",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\x85b",
    "a\u2028b\u2029c",
    "\x9b31m",
    "\u202egnp.exe",
    "\ud800",
    "\x00\x7f",
    '"}\n{"level":"info"',
)
logger = logging.getLogger("tests.sinks")


@contextmanager
def logs_in(directory: Path, **options: Any) -> Iterator[tuple[Logs, io.StringIO]]:
    console = io.StringIO()
    logs = Logs(directory, console=console, **options)
    logs.open()
    try:
        yield logs, console
    finally:
        logs.close()


def has(read: Callable[[], str], text: str) -> bool:
    return text in read()


def lost(logs: Logs, sink: str) -> float:
    dropped, _ = SinkCounts(logs).collect()
    return next(sample.value for sample in dropped.samples if sample.labels["sink"] == sink)


# ---------------------------------------------------------------------- one place fails, the others go on


async def test_a_full_disk_stops_this_place_alone_and_nothing_is_lost_that_its_backlog_holds(tmp_path: Path) -> None:
    path = tmp_path / ORCHESTRATOR_FILE
    path.symlink_to("/dev/full")
    with logs_in(tmp_path) as (logs, console):
        logger.info("said to a full disk")
        trouble = await eventually(lambda: logs.trouble)
        logs.hear(Committed(Saga().booked()))
        await eventually(lambda: "completed." in console.getvalue())
        await eventually(lambda: (tmp_path / BOOKINGS_FILE).read_text())
        assert "saga_orchestrator.log cannot be written: No space left on device" in console.getvalue()
        assert not path.resolve().is_file()

        path.unlink()
        await eventually(lambda: "can be written again; 0 lines were lost" in console.getvalue())
        assert logs.trouble is None

    assert trouble == (
        "saga_orchestrator.log cannot be written: No space left on device; 0 lines are lost since the start"
    )
    assert path.read_text().splitlines() == console.getvalue().splitlines()


async def test_what_the_backlog_does_not_hold_is_lost_counted_and_said(tmp_path: Path) -> None:
    path = tmp_path / ORCHESTRATOR_FILE
    path.symlink_to("/dev/full")
    with logs_in(tmp_path, backlog_bytes_max=2_000) as (logs, console):
        logger.info("first")
        await eventually(lambda: logs.trouble)
        for number in range(50):
            logger.info("line %d %s", number, "x" * 100)
            if number % 10 == 0:
                await eventually(partial(has, console.getvalue, f"line {number} "))
        await eventually(lambda: lost(logs, ORCHESTRATOR_FILE))
        await eventually(lambda: "line 49" in console.getvalue())
        path.unlink()
        await eventually(lambda: "can be written again" in path.read_text() if path.is_file() else "")
        assert logs.trouble is not None
        assert "lost lines within the last 10 minutes" in logs.trouble
        missing = lost(logs, ORCHESTRATOR_FILE)
        assert lost(logs, BOOKINGS_FILE) == 0

    assert f"can be written again; {missing:.0f} lines were lost." in console.getvalue()
    written = path.read_text().splitlines()
    assert set(written) <= set(console.getvalue().splitlines())
    assert len(console.getvalue().splitlines()) - len(written) == missing


async def test_a_reader_that_does_not_read_stalls_nobody_else(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as console, os.fdopen(reading, encoding="utf-8") as reader:
        logs = Logs(tmp_path, console=console, backlog_bytes_max=200_000)
        logs.open()
        try:
            for number in range(5_000):
                logger.info("line %d %s", number, "x" * 100)
                if number % 500 == 0:
                    await eventually(partial(has, (tmp_path / ORCHESTRATOR_FILE).read_text, f"line {number} "))
            await eventually(lambda: "line 4999 " in (tmp_path / ORCHESTRATOR_FILE).read_text())
            await eventually(lambda: lost(logs, "stderr"))
            os.set_blocking(reading, False)

            def drained() -> bool:
                with suppress(TypeError, BlockingIOError):
                    while os.read(reading, 65_536):
                        pass
                return "can be written again" in (tmp_path / ORCHESTRATOR_FILE).read_text()

            await eventually(drained)
            assert lost(logs, ORCHESTRATOR_FILE) == 0
        finally:
            os.set_blocking(reading, True)
            reader.close()
            logs.close()
            # What was not flushed when the reader went is nobody's.
            with suppress(BrokenPipeError):
                console.close()


def test_half_a_line_is_never_left(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "some.log")
    file.write(b"first\n")
    allowed, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.write(b"second\nthird\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, most))
    assert (tmp_path / "some.log").read_bytes() == b"first\n"
    file.write(b"second\nthird\n")
    file.close()
    assert (tmp_path / "some.log").read_bytes() == b"first\nsecond\nthird\n"


# ---------------------------------------------------------------------- files that others move


def test_a_file_that_was_renamed_removed_or_lost_its_folder_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    path = folder / "some.log"
    file = LogFile(path)
    file.write(b"first\n")
    path.rename(folder / "some.log.1")
    file.write(b"second\n")
    assert path.read_bytes() == b"second\n"
    path.rename(folder / "some.log.2")
    path.touch()
    file.write(b"third\n")
    assert path.read_bytes() == b"third\n"
    shutil.rmtree(folder)
    file.write(b"fourth\n")
    assert path.read_bytes() == b"fourth\n"
    os.truncate(path, 0)
    file.write(b"fifth\n")
    file.close()
    assert path.read_bytes() == b"fifth\n"
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)


# ---------------------------------------------------------------------- the thread outlives what it is told


class Unspeakable:
    """Raises when it is asked for its text."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        raise self._error

    __repr__ = __str__


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), RecursionError(), MemoryError()])
def test_a_value_that_has_no_text_costs_its_own_line_alone(
    tmp_path: Path, form: LogFormat, error: BaseException
) -> None:
    with logs_in(tmp_path, form=form) as (logs, console):
        logger.info("before")
        logger.info("bad", extra={"value": Unspeakable(error)})
        logger.info("after")

    before, bad, after, *rest = console.getvalue().splitlines()
    assert ("before" in before, "after" in after, rest) == (True, True, [])
    assert f"could not be rendered: {type(error).__name__}." in bad
    assert logs.lines_dropped == 0


def test_who_says_something_wrong_does_not_fail_of_it(tmp_path: Path) -> None:
    with logs_in(tmp_path) as (_, console):
        logger.info("%d bottles", "no")
        logger.info("%s", Unspeakable(ValueError()))
        logger.info("after")

    first, second, third = console.getvalue().splitlines()
    assert "test_log_sinks.py" in first
    assert first.endswith("TypeError. logger=tests.sinks")
    assert "ValueError." in second
    assert "after" in third


def test_whatever_rendering_raises_the_thread_goes_on(tmp_path: Path) -> None:
    with logs_in(tmp_path) as (logs, console):
        no_event: Any = "no event"
        logs.hear(Committed((no_event,)))
        logger.info("after")

    assert "A Committed could not be rendered: AttributeError." in console.getvalue()
    assert "after" in console.getvalue()


# ---------------------------------------------------------------------- a record is one line


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("text", NASTY)
def test_what_was_typed_makes_no_line_colour_or_title(tmp_path: Path, text: str, form: LogFormat) -> None:
    with logs_in(tmp_path, form=form) as (_, console):
        logger.info("said %s", text, extra={"value": text, "within": [{text: text}]})
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("failed")

    first, second = console.getvalue().removesuffix("\n").split("\n")
    assert first.isprintable()
    assert second.isprintable()
    assert (tmp_path / ORCHESTRATOR_FILE).read_bytes() == console.getvalue().encode()
    if form == "json":
        assert json.loads(first)["message"].startswith("said ")
        assert "ValueError" in json.loads(second)["exception"]


@pytest.mark.parametrize("form", ["console", "json"])
@given(text=st.text(alphabet=st.characters()), name=st.text())
def test_any_text_is_one_printable_line(form: LogFormat, text: str, name: str) -> None:
    written = form_of(form, {"replica": "r"})(Line(0, Marker.LOG, "info", text, text, {name: text}))
    assert written.endswith("\n")
    assert written[:-1].isprintable()
    written.encode()
    if form == "json":
        assert isinstance(json.loads(written), dict)


@pytest.mark.parametrize(
    "text", ["eyJhb.ci", "sk_1", "://me:open@host", "pm_1", "tok_1", "src_1", "card_1", "_secret_2"]
)
def test_no_secret_passes_because_its_line_looks_plain(text: str) -> None:
    assert redact(text) != text
    for form in ("console", "json"):
        assert text not in form_of(form, {})(Line(0, Marker.LOG, "info", None, text, {}))


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_line_has_a_length(form: LogFormat) -> None:
    long = "\u2028" * 1_000_000
    written = form_of(form, {})(Line(0, Marker.LOG, "info", SAGA, long, {"value": long, "exception": long + "end"}))
    assert len(written) < 120_000
    assert ("more)" in written, "..." in written) == (True, True)


def test_a_field_of_a_line_for_people_cannot_be_typed_into_another() -> None:
    written = form_of("console", {})(Line(0, Marker.LOG, "info", None, "said.", {"value": 'a subject="root" b'}))
    assert written.endswith('said. value="a subject=\\"root\\" b"\n')


def test_a_secret_is_found_behind_a_line_break_and_leaves_json_whole() -> None:
    line = Line(0, Marker.LOG, "info", None, "a\nsk_live_abc\tpm_card_visa", {"at": "x://y:z", "by": "me@example"})
    forms: tuple[LogFormat, ...] = ("console", "json")
    for form in forms:
        written = form_of(form, {})(line)
        assert "abc" not in written
        assert "card_visa" not in written
    assert json.loads(form_of("json", {})(line))["by"] == "me@example"
