"""Sets up the log: one thread renders all lines, and each sink writes them in a thread of its own.

::

    engine telemetry ──┐                            ┌──▶ standard error
    requests ──────────┼──▶ LogPipeline ──▶ Sinks ──┼──▶ saga_orchestrator.log    every line
    logging, structlog ┘    (thread)      (threads) └──▶ saga_bookings.log        one JSON line a finished saga

Any module may use `structlog.get_logger()` or `logging.getLogger()`. Lines logged while a request
is served show its caller, its operation and structlog's context variables. Every line shows the
replica and its release.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

from app.observability.files import FILE_BYTES_MAX, LogFile
from app.observability.lines import Line, LogFormat, Marker, SubjectNames, form_of, json_line
from app.observability.pipeline import ITEMS_MAX_DEFAULT, LogPipeline
from app.observability.request_lines import RequestFinished, RequestNote, asked_in, asker_fields, request_lines
from app.observability.saga_lines import SagaLines
from app.observability.sinks import BACKLOG_BYTES_MAX, Sink, StandardError, Stream
from domain.clock import wall_now
from domain.saga import CallFinished, Committed, StartsCommitted

__all__ = ["BOOKINGS_FILE", "CONSOLE", "ORCHESTRATOR_FILE", "LogFormat", "Logs"]

ORCHESTRATOR_FILE: Final = "saga_orchestrator.log"
BOOKINGS_FILE: Final = "saga_bookings.log"
CONSOLE: Final = "stderr"
#: The time to write the remaining lines when the process ends. A slow reader gets no more than this.
STOP_SECONDS_MAX: Final = 2.0
#: These loggers are verbose at INFO, and our own lines cover the same events.
_QUIET: Final = ("apscheduler", "aiosqlite", "sqlalchemy", "asyncio", "websockets", "uvicorn", "alembic", "httpx")
#: Fields that may hold a secret; their values are never written.
_SECRETS: Final = frozenset({"token", "payment_token", "card_token", "authorization", "password", "secret", "api_key"})
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "_bound",
    "_asked",
}


class Logs:
    """The log of one process. `open` redirects standard logging and structlog to it until `close`.

    `directory`: the folder of the two files; None for standard error alone. `console`: replaces
    standard error. `origin`: fields of every line. `file_bytes_max`: see LogFile.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        form: LogFormat = "console",
        console: TextIO | None = None,
        origin: Mapping[str, str] | None = None,
        names: SubjectNames | None = None,
        level: int = logging.INFO,
        items_max: int = ITEMS_MAX_DEFAULT,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self._form = form_of(form, origin or {})
        self._origin = dict(origin or {})
        self._names = names or SubjectNames(secrets.token_hex())
        self._saga_lines = SagaLines(with_fields=form == "json", names=self._names)
        self._level = level
        self._files = (
            [LogFile(directory / name, bytes_max=file_bytes_max) for name in (ORCHESTRATOR_FILE, BOOKINGS_FILE)]
            if directory is not None
            else []
        )
        self._console = Sink(
            CONSOLE, StandardError() if console is None else Stream(console), backlog_bytes_max=backlog_bytes_max
        )
        self._in_files = [
            Sink(name, file, backlog_bytes_max=backlog_bytes_max)
            for name, file in zip((ORCHESTRATOR_FILE, BOOKINGS_FILE), self._files, strict=False)
        ]
        self._pipeline = LogPipeline(self._write, items_max=items_max)
        self._handler = _Redirect(self._pipeline)
        self._former: tuple[list[logging.Handler], int] | None = None

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Take over standard logging and structlog, and begin to write. Raises OSError if a file cannot be opened."""
        for file in self._files:
            file.open()
        root = logging.getLogger()
        self._former = (list(root.handlers), root.level)
        root.handlers[:] = [self._handler]
        root.setLevel(self._level)
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
        structlog.configure(
            processors=[structlog.stdlib.PositionalArgumentsFormatter(), structlog.stdlib.render_to_log_kwargs],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
            cache_logger_on_first_use=False,
        )
        for sink in self.sinks:
            sink.start()
        self._pipeline.start()

    def reopen(self) -> None:
        """Reopen the files soon, after an external tool has renamed them. Callable from anywhere."""
        for sink in self.sinks:
            sink.reopen()

    def close(self) -> None:
        """Write the remaining lines, then restore standard logging."""
        self._pipeline.stop()
        if self._former is not None:
            root = logging.getLogger()
            root.handlers[:], level = self._former
            root.setLevel(level)
            self._former = None
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for sink in self.sinks:
            sink.stop(max(0.0, deadline - time.monotonic()))

    # ------------------------------------------------------------------ signals

    def hear(self, signal: object) -> None:
        """A telemetry handler: queues the signal and returns at once."""
        match signal:
            case Committed(events):
                self._pipeline.put(signal, len(events))
            case CallFinished() | RequestFinished() | StartsCommitted():
                self._pipeline.put(signal)

    @property
    def sinks(self) -> Sequence[Sink]:
        """The sinks that lines are written to."""
        return [self._console, *self._in_files]

    @property
    def lines_dropped(self) -> int:
        """The number of lines dropped before rendering since the start, because the queue was full."""
        return self._pipeline.dropped_total

    @property
    def trouble(self) -> str | None:
        """Why lines are lost, now or within the last minutes; None if none are lost."""
        return "; ".join(trouble for sink in self.sinks if (trouble := sink.trouble) is not None) or None

    # ------------------------------------------------------------------ in the thread

    def _write(self, items: Sequence[Any], dropped: int) -> None:
        lines: list[str] = []
        bookings: list[str] = []
        if dropped:
            lines.append(self._form(_dropped_line(dropped)))
        for item in items:
            try:
                said, ended = self._told(item)
            except BaseException as error:
                # If a value raises anything from its `str` or `repr`, only its own line is lost.
                said, ended = [_unsaid_line(item, error)], []
            lines += [self._rendered(line) for line in said]
            bookings += [json_line(booking | self._origin) for booking in ended]
        text = "".join(lines).encode()
        self._console.put(text, len(lines))
        for sink, data, count in zip(
            self._in_files, (text, "".join(bookings).encode()), (len(lines), len(bookings)), strict=False
        ):
            if count:
                sink.put(data, count)

    def _rendered(self, line: Line) -> str:
        try:
            return self._form(line)
        except BaseException as error:
            return self._form(_unsaid_line(line, error))

    def _told(self, item: Any) -> tuple[list[Line], list[dict[str, Any]]]:
        """The lines of a queued item, and the records of the bookings that it ends."""
        match item:
            case Committed():
                return self._saga_lines.of_events(item)
            case StartsCommitted():
                self._saga_lines.know(item)
                return [], []
            case CallFinished():
                return [self._saga_lines.of_call(item)], []
            case RequestFinished():
                return request_lines(item, self._names), []
            case _:
                return [_record_line(item, self._names)], []


class _Redirect(logging.Handler):
    """Puts records on the queue, with the context variables of the place that logged them."""

    def __init__(self, pipeline: LogPipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a wrong log call must not break its caller."""
        try:
            # Format here: the arguments may change before the thread formats them, and the context is this task's.
            record.msg, record.args = record.getMessage(), None
        except Exception as error:
            place = f"{record.pathname}:{record.lineno}"
            record.msg, record.args = f"A log call at {place} could not be formatted: {type(error).__name__}.", None
        record._bound = structlog.contextvars.get_contextvars()
        asked = asked_in.get()
        record._asked = None if asked is None else replace(asked)
        self._pipeline.put(record)


def _record_line(record: logging.LogRecord, names: SubjectNames) -> Line:
    said = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
    asked: RequestNote | None = getattr(record, "_asked", None)
    asking = {} if asked is None else {"request_id": asked.request_id, **asker_fields(asked, names)}
    fields: dict[str, Any] = {**asking, **getattr(record, "_bound", {}), **said, "logger": record.name}
    correlation_id = fields.pop("correlation_id", None)
    if record.exc_info:
        fields["exception"] = logging.Formatter().formatException(record.exc_info)
    safe = {name: "[redacted]" if name.lower() in _SECRETS else value for name, value in fields.items()}
    at = round(record.created * 1_000_000)
    return Line(at, Marker.LOG, record.levelname.lower(), correlation_id, str(record.msg), safe)


def _dropped_line(dropped: int) -> Line:
    message = f"{dropped} log lines were dropped: more lines were logged than could be written."
    return Line(wall_now(), Marker.LOG, "warning", None, message, {"dropped": dropped})


def _unsaid_line(item: object, error: BaseException) -> Line:
    of = f" of {item.fields.get('logger', item.marker)}" if isinstance(item, Line) else ""
    message = f"A {type(item).__name__}{of} could not be rendered: {type(error).__name__}."
    return Line(wall_now(), Marker.LOG, "error", None, message, {})
