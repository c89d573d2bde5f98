"""Sets up the log: everything that is said goes through one queue to one thread, console and two files.

::

    engine telemetry ──┐                     ┌──▶ console
    requests ──────────┼──▶ LogPipeline ─────┼──▶ saga_orchestrator.log    every line
    logging, structlog ┘    (thread)         └──▶ saga_bookings.log        one JSON line a finished saga

`structlog.get_logger()` and `logging.getLogger()` may both be used anywhere. What is bound in
structlog's context variables, such as `request_id` and `correlation_id`, stands on every line.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog

from app.observability.files import RotatedFile
from app.observability.lines import Line, Marker, as_console, as_json
from app.observability.pipeline import ITEMS_MAX_DEFAULT, LogPipeline
from app.observability.request_lines import RequestFinished, request_lines
from app.observability.saga_lines import SagaLines
from domain.clock import wall_now
from domain.saga import CallFinished, Committed, SagaDefinition

__all__ = ["BOOKINGS_FILE", "ORCHESTRATOR_FILE", "LogFormat", "Logs"]

ORCHESTRATOR_FILE: Final = "saga_orchestrator.log"
BOOKINGS_FILE: Final = "saga_bookings.log"
LogFormat = Literal["console", "json"]
#: Chatty at INFO; what they say there is said by our own lines.
_QUIET: Final = ("apscheduler", "aiosqlite", "sqlalchemy", "asyncio", "websockets", "uvicorn", "alembic", "httpx")
#: Names under which a secret could be said; their values are never written.
_SECRETS: Final = frozenset({"token", "payment_token", "card_token", "authorization", "password", "secret", "api_key"})
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "_bound"}


class Logs:
    """The log of one process. `open` redirects standard logging and structlog to it until `close`."""

    def __init__(
        self,
        directory: Path,
        *,
        form: LogFormat = "console",
        definitions: Iterable[SagaDefinition] = (),
        console: TextIO | None = None,
        level: int = logging.INFO,
        items_max: int = ITEMS_MAX_DEFAULT,
    ) -> None:
        self._render: Callable[[Iterable[Line]], str] = as_json if form == "json" else as_console
        self._saga_lines = SagaLines(definitions, with_fields=form == "json")
        self._console = sys.stderr if console is None else console
        self._level = level
        self._orchestrator = RotatedFile(directory / ORCHESTRATOR_FILE)
        self._bookings = RotatedFile(directory / BOOKINGS_FILE)
        self._pipeline = LogPipeline(self._write, items_max=items_max)
        self._handler = _Redirect(self._pipeline)
        self._former: tuple[list[logging.Handler], int] | None = None

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Take over standard logging and structlog, and begin to write. Raises OSError where a file cannot be."""
        self._orchestrator.open()
        self._bookings.open()
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
        self._pipeline.start()

    def close(self) -> None:
        """Write what has been said, then give standard logging back."""
        self._pipeline.stop()
        if self._former is not None:
            root = logging.getLogger()
            root.handlers[:], level = self._former
            root.setLevel(level)
            self._former = None
        self._orchestrator.close()
        self._bookings.close()

    # ------------------------------------------------------------------ what is heard

    def hear(self, signal: object) -> None:
        """A telemetry handler: takes what is to be said and returns at once."""
        match signal:
            case Committed(events):
                self._pipeline.put(signal, len(events))
            case CallFinished() | RequestFinished():
                self._pipeline.put(signal)

    @property
    def lines_dropped(self) -> int:
        """How many lines were left out since the start, as the queue was full."""
        return self._pipeline.dropped_total

    # ------------------------------------------------------------------ in the thread

    def _write(self, items: Sequence[Any], dropped: int) -> None:
        lines: list[Line] = []
        bookings: list[str] = []
        for item in items:
            match item:
                case Committed():
                    said, ended = self._saga_lines.of_events(item)
                    lines += said
                    bookings += ended
                case CallFinished():
                    lines.append(self._saga_lines.of_call(item))
                case RequestFinished():
                    lines += request_lines(item)
                case logging.LogRecord():
                    lines.append(_record_line(item))
        if dropped:
            message = f"{dropped} log lines were dropped: more was said than could be written."
            lines.append(Line(wall_now(), Marker.LOG, "warning", None, message, {"dropped": dropped}))
        text = self._render(lines)
        self._orchestrator.write(text)
        self._bookings.write("".join(bookings))
        self._console.write(text)
        self._console.flush()


class _Redirect(logging.Handler):
    """Puts records on the queue with what is bound where they were made."""

    def __init__(self, pipeline: LogPipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    def emit(self, record: logging.LogRecord) -> None:
        # The arguments may change before the thread comes to them; the context is this task's.
        record.msg, record.args = record.getMessage(), None
        record._bound = structlog.contextvars.get_contextvars()
        self._pipeline.put(record)


def _record_line(record: logging.LogRecord) -> Line:
    said = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
    fields: dict[str, Any] = {**getattr(record, "_bound", {}), **said, "logger": record.name}
    correlation_id = fields.pop("correlation_id", None)
    message = str(record.msg)
    if record.exc_info:
        trace = logging.Formatter().formatException(record.exc_info)
        fields["exception"] = trace
        message = f"{message}\n{trace}"
    safe = {name: "[redacted]" if name.lower() in _SECRETS else value for name, value in fields.items()}
    at = round(record.created * 1_000_000)
    return Line(at, Marker.LOG, record.levelname.lower(), correlation_id, message, safe)
