"""Everything is said off the hot path, with its correlation ID, and nothing is dropped silently."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from app.observability.files import LogFile
from app.observability.lines import SubjectNames
from app.observability.logging import BOOKINGS_FILE, ORCHESTRATOR_FILE, LogFormat, Logs
from app.observability.metrics import Metrics
from app.observability.pipeline import LogPipeline
from app.observability.request_lines import RequestFinished
from app.observability.saga_lines import SAGAS_REMEMBERED_MAX, SagaLines
from domain.events import EventType, Failure, SagaEvent
from domain.facts import BookingFacts, Facts, FlightSeats, SeatFacts
from domain.outcome import Refused
from domain.saga import (
    Batch,
    CallFinished,
    Committed,
    Compensation,
    Local,
    RetryPolicy,
    SagaBegun,
    SagaDefinition,
    SettleVerdict,
    StartsCommitted,
    Step,
)

SAGA = "0198c0de-0000-7000-8000-000000000001"
AT = 1_800_000_000_000_000
SEATS = SeatFacts("HELD", (FlightSeats(1, "SG100", "ECONOMY", ("12C", "12D")),))


async def _nothing(batch: Batch[Any]) -> list[SettleVerdict]:
    return []


async def _begin(*arguments: Any) -> list[Any]:
    return []


class Nothing(msgspec.Struct):
    """A context without anything in it."""


def definition() -> SagaDefinition:
    def step(name: str, undo: str) -> Step:
        return Step(name, Local(_nothing), Compensation(undo, Local(_nothing)), RetryPolicy())

    return SagaDefinition(
        "BOOK_AND_EARN",
        version=1,
        context=Nothing,
        begin=_begin,
        pivot="CONFIRM_BOOKING",
        steps=(step("RESERVE_SEAT", "CANCEL_SEAT"), step("CONFIRM_BOOKING", "CANCEL_BOOKING")),
    )


class Saga:
    """A saga's events, one after another."""

    def __init__(self, correlation_id: str = SAGA) -> None:
        self.correlation_id = correlation_id
        self.sequence = 0

    def event(
        self,
        kind: EventType,
        message: str,
        *,
        step: str | None = None,
        compensation: str | None = None,
        failure: Failure | None = None,
        facts: Facts | None = None,
    ) -> SagaEvent:
        self.sequence += 1
        at = AT + self.sequence * 1_000
        id_ = self.correlation_id
        return SagaEvent(
            id_, id_, self.sequence, kind, step, compensation, 1, message, failure, at, actor=None, facts=facts
        )

    @property
    def begun(self) -> StartsCommitted:
        """What is told before its events where this process began it."""
        return StartsCommitted((SagaBegun(self.correlation_id, "someone", definition()),), 0.001)

    def booked(self) -> tuple[SagaEvent, ...]:
        return (
            self.event(EventType.SAGA_STARTED, "BOOK_AND_EARN started."),
            self.event(EventType.STEP_STARTED, "RESERVE_SEAT started.", step="RESERVE_SEAT"),
            self.event(EventType.STEP_COMPLETED, "seats 12C, 12D held", step="RESERVE_SEAT", facts=SEATS),
            self.event(EventType.STEP_STARTED, "CONFIRM_BOOKING started.", step="CONFIRM_BOOKING"),
            self.event(
                EventType.STEP_COMPLETED, "booking ABC234", step="CONFIRM_BOOKING", facts=BookingFacts("ABC234")
            ),
            self.event(EventType.SAGA_COMPLETED, "BOOK_AND_EARN completed."),
        )


@contextmanager
def logging_to(directory: Path, form: LogFormat = "console") -> Iterator[tuple[Logs, io.StringIO]]:
    console = io.StringIO()
    logs = Logs(directory, form=form, console=console)
    logs.open()
    try:
        yield logs, console
    finally:
        logs.close()
        structlog.contextvars.clear_contextvars()


def test_each_event_is_a_line_under_its_marker_and_the_queue_follows(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (logs, console):
        saga = Saga()
        logs.hear(saga.begun)
        for event in saga.booked():
            logs.hear(Committed((event,)))

    lines = console.getvalue().splitlines()
    assert f"[SAGA] {SAGA}: BOOK_AND_EARN started." in lines[0]
    assert f"[QUEUE] {SAGA}: pending RESERVE_SEAT, CONFIRM_BOOKING" in lines[1]
    assert f"[SAGA STEP] {SAGA}: RESERVE_SEAT started." in lines[2]
    assert "executing RESERVE_SEAT | pending CONFIRM_BOOKING subject=#" in lines[3]
    assert "RESERVE_SEAT completed: seats 12C, 12D held subject=#" in lines[4]
    assert "pending CONFIRM_BOOKING | completed RESERVE_SEAT | compensations CANCEL_SEAT subject=#" in lines[5]
    assert all(SAGA in line for line in lines)
    assert (tmp_path / ORCHESTRATOR_FILE).read_text() == console.getvalue()


def test_a_compensation_is_told_as_one(tmp_path: Path) -> None:
    saga = Saga()
    failure = Failure("SIMULATED", "As asked for.", "CONFIRM_BOOKING")
    events = (
        *saga.booked()[:4],
        saga.event(EventType.STEP_FAILED, "As asked for.", step="CONFIRM_BOOKING", failure=failure),
        saga.event(
            EventType.COMPENSATION_STARTED, "CANCEL_SEAT started.", step="RESERVE_SEAT", compensation="CANCEL_SEAT"
        ),
    )

    with logging_to(tmp_path) as (logs, console):
        logs.hear(saga.begun)
        logs.hear(Committed(events))

    lines = console.getvalue().splitlines()
    assert "[SAGA STEP] WARNING" in lines[4]
    assert "CONFIRM_BOOKING failed: As asked for. (SIMULATED) subject=#" in lines[4]
    assert f"[COMPENSATION] {SAGA}: CANCEL_SEAT started." in lines[5]
    assert "compensating CANCEL_SEAT | completed RESERVE_SEAT | failed CONFIRM_BOOKING subject=#" in lines[6]


def test_a_finished_saga_is_one_json_line_in_the_bookings_file(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (logs, _):
        saga = Saga()
        logs.hear(saga.begun)
        logs.hear(Committed(saga.booked()))

    [line] = (tmp_path / BOOKINGS_FILE).read_text().splitlines()
    booking = json.loads(line)
    assert booking["correlation_id"] == SAGA
    assert (booking["definition"], booking["status"], booking["failure"]) == ("BOOK_AND_EARN", "COMPLETED", None)
    assert (booking["reference"], booking["seats"], booking["duration_ms"]) == ("ABC234", ["12C", "12D"], 7.0 - 2.0)
    assert list(booking["steps"]) == ["RESERVE_SEAT", "CONFIRM_BOOKING"]


def test_what_a_booking_line_tells_is_read_from_facts_and_not_from_words(tmp_path: Path) -> None:
    saga = Saga()
    events = (
        saga.event(EventType.SAGA_STARTED, "Los."),
        saga.event(EventType.STEP_COMPLETED, "Sitze gehalten", step="RESERVE_SEAT", facts=SEATS),
        saga.event(EventType.STEP_COMPLETED, "gebucht", step="CONFIRM_BOOKING", facts=BookingFacts("ABC234")),
        saga.event(EventType.SAGA_COMPLETED, "Fertig."),
    )
    with logging_to(tmp_path) as (logs, _):
        logs.hear(saga.begun)
        logs.hear(Committed(events))

    booking = json.loads((tmp_path / BOOKINGS_FILE).read_text())
    assert (booking["definition"], booking["reference"]) == ("BOOK_AND_EARN", "ABC234")
    assert booking["seats"] == ["12C", "12D"]


def test_of_a_saga_begun_elsewhere_and_events_without_facts_a_booking_line_tells_what_it_can(tmp_path: Path) -> None:
    events = tuple(msgspec.structs.replace(event, facts=None) for event in Saga().booked())
    with logging_to(tmp_path) as (logs, console):
        logs.hear(Committed(events))

    booking = json.loads((tmp_path / BOOKINGS_FILE).read_text())
    assert (booking["definition"], booking["reference"], booking["seats"]) == (None, None, [])
    assert (booking["status"], booking["steps"]["CONFIRM_BOOKING"]["summary"]) == ("COMPLETED", "booking ABC234")
    assert "RESERVE_SEAT completed: seats 12C, 12D held" in console.getvalue()


def test_json_lines_bear_what_machines_need(tmp_path: Path) -> None:
    with logging_to(tmp_path, "json") as (logs, console):
        saga = Saga()
        logs.hear(saga.begun)
        logs.hear(Committed(saga.booked()[:3]))
        logs.hear(CallFinished(0, SAGA, "CONFIRM_BOOKING", 1, Refused("DECLINED", "No."), 0.25))

    lines = [json.loads(line) for line in console.getvalue().splitlines()]
    assert [line["marker"] for line in lines] == ["SAGA", "SAGA STEP", "SAGA STEP", "QUEUE", "SAGA STEP"]
    assert (lines[2]["event"], lines[2]["step"], lines[2]["sequence"]) == ("STEP_COMPLETED", "RESERVE_SEAT", 3)
    assert lines[2]["facts"]["flights"] == [
        {"flight_id": 1, "number": "SG100", "cabin": "ECONOMY", "seats": ["12C", "12D"]}
    ]
    assert lines[3]["queue"]["compensations"] == ["CANCEL_SEAT"]
    assert (lines[4]["level"], lines[4]["duration_ms"], lines[4]["correlation_id"]) == ("warning", 250.0, SAGA)


def test_a_request_is_told_with_the_sagas_that_it_started(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (logs, console):
        logs.hear(RequestFinished(AT, "r-1", "POST", "/graphql", 200, 0.012, "Book", (SAGA,)))

    assert f"[LOG] {SAGA}: POST /graphql Book -> 200 request_id=r-1 duration_ms=12.0" in console.getvalue()


def test_other_loggers_come_along_with_what_is_bound_where_they_spoke(tmp_path: Path) -> None:
    with logging_to(tmp_path) as (_, console):
        structlog.contextvars.bind_contextvars(request_id="r-1", correlation_id=SAGA)
        logging.getLogger("some.library").warning("%d bottles", 99)
        structlog.get_logger("ours").info("opened", doors=2)
        try:
            raise OSError("no disk")
        except OSError:
            logging.getLogger("some.library").exception("it broke")

    first, second, *rest = console.getvalue().splitlines()
    assert f"[LOG] WARNING {SAGA}: 99 bottles request_id=r-1 logger=some.library" in first
    assert f"[LOG] {SAGA}: opened request_id=r-1 doors=2 logger=ours" in second
    assert any("OSError: no disk" in line for line in rest)


def test_card_tokens_and_secrets_are_never_written(tmp_path: Path) -> None:
    saga = Saga()
    with logging_to(tmp_path) as (logs, console):
        logs.hear(Committed((saga.event(EventType.SAGA_STARTED, "no such token: tok_1NxTabc"),)))
        logging.getLogger("x").error("parameters: %s", ("pm_card_visa", 3))
        logging.getLogger("x").error("confirm %s", "/sandbox/confirm/pi_1_secret_0fe4")
        logging.getLogger("x").error("keys: %s", ("sk_test_4eC39Hq", "rk_live_4eC39Hq"))
        logging.getLogger("x").error("at postgresql://me:hunt@er2@db/seats with Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbg")
        structlog.get_logger("x").info("said", token="pm_secret", authorization="Bearer abc", Password="abc")

    written = console.getvalue() + (tmp_path / ORCHESTRATOR_FILE).read_text()
    for secret in (
        "1NxTabc",
        "card_visa",
        "pm_secret",
        "Bearer abc",
        "=abc",
        "4eC39Hq",
        "hunt",
        "er2",
        "eyJ",
        "c2ln",
        "0fe4",
    ):
        assert secret not in written
    assert "postgresql://me:[redacted]@db/seats" in written


def test_what_does_not_fit_is_counted_and_said() -> None:
    written: list[tuple[list[Any], int]] = []
    gate, begun = threading.Event(), threading.Event()

    def write(items: Any, dropped: int) -> None:
        begun.set()
        gate.wait(10)
        written.append((list(items), dropped))

    pipeline = LogPipeline(write, items_max=3)
    pipeline.start()
    pipeline.put("first")
    assert begun.wait(10)
    for item in "abcde":
        pipeline.put(item, lines=2)
    gate.set()
    pipeline.stop()

    assert written[0] == (["first"], 0)
    assert written[1] == (["a", "b", "c"], 4)
    assert pipeline.dropped_total == 4


def test_dropped_lines_are_told_in_the_log(tmp_path: Path) -> None:
    console = io.StringIO()
    logs = Logs(tmp_path, console=console, items_max=1)
    for event in Saga().booked():
        logs.hear(Committed((event,)))
    logs.open()
    logs.close()

    assert "5 log lines were dropped" in console.getvalue()
    assert logs.lines_dropped == 5


def test_the_event_loop_spends_microseconds(tmp_path: Path) -> None:
    events = Saga().booked()
    with logging_to(tmp_path) as (logs, _):
        metrics = Metrics()
        turns = [Committed(events) for _ in range(500)]
        began = time.thread_time()
        for turn in turns:
            logs.hear(turn)
            metrics.hear(turn)
        seconds = time.thread_time() - began

    assert seconds / (500 * len(events)) < 50e-6


def test_a_file_that_has_grown_large_is_set_aside(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "some.log", bytes_max=10, kept=2)
    for text in (b"first 67\n", b"second 8\n", b"third 78\n", b"fourth 8\n"):
        file.write(text)
    file.close()

    assert (tmp_path / "some.log").read_text() == "fourth 8\n"
    assert (tmp_path / "some.log.1").read_text() == "third 78\n"
    assert (tmp_path / "some.log.2").read_text() == "second 8\n"
    assert not (tmp_path / "some.log.3").exists()


def test_no_more_sagas_are_remembered_than_the_bound_and_the_oldest_is_forgotten_first() -> None:
    lines = SagaLines(with_fields=True, names=SubjectNames("secret", plain=["someone"]))
    sagas = [Saga(str(number)) for number in range(SAGAS_REMEMBERED_MAX + 1)]
    for saga in sagas:
        lines.know(saga.begun)

    def subject_of(saga: Saga) -> object:
        (line, _queue), _ = lines.of_events(Committed((saga.event(EventType.STEP_STARTED, "started"),)))
        return line.fields.get("subject")

    newest, second, oldest = sagas[-1], sagas[1], sagas[0]
    assert (subject_of(newest), subject_of(second)) == ("someone", "someone")
    assert subject_of(oldest) is None
