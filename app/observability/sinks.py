"""Sinks: the independent destinations of log lines.

Each sink has a thread and a bounded backlog of its own: a full disk or a reader that is gone or slow
stops only this sink. It retries every second. Lines that do not fit into its backlog meanwhile are
lost and counted; their number is logged once the sink can be written again.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections import deque
from typing import Final, Protocol, TextIO

from app.observability.files import write_all

__all__ = ["BACKLOG_BYTES_MAX", "Sink", "StandardError", "Stream", "Target"]

BACKLOG_BYTES_MAX: Final = 1_048_576
RETRY_SECONDS: Final = 1.0
#: A longer write counts as stalled: the reader does not read, or the disk hangs.
STALLED_SECONDS: Final = 2.0
#: The warning about lost lines stays for so long after the last loss.
LOSS_REMEMBERED_SECONDS: Final = 600.0
_logger = logging.getLogger("seatsaga.log")


class Target(Protocol):
    """The destination of a sink."""

    def open(self) -> None:
        """Open or reopen the destination. Raises OSError."""
        ...

    def write(self, data: bytes) -> None:
        """Write whole lines; opens the destination if it is closed. Raises OSError if not all was written."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class StandardError:
    """The process's standard error, without Python's buffer: its lock would be held while a slow reader blocks."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def open(self) -> None:
        """See Target. A descriptor closed before the start is not used: it may belong to another file now."""
        if sys.stderr is None:
            raise OSError(errno.EBADF, "standard error is closed")
        if self._descriptor is None:
            self._descriptor = os.dup(sys.stderr.fileno())

    def write(self, data: bytes) -> None:
        """See Target."""
        self.open()
        assert self._descriptor is not None, "open has opened it, or raised"
        write_all(self._descriptor, data)

    def close(self) -> None:
        """See Target."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Stream:
    """A text stream of this process's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def open(self) -> None:
        """See Target."""

    def write(self, data: bytes) -> None:
        """See Target."""
        self._stream.write(data.decode())
        self._stream.flush()

    def close(self) -> None:
        """See Target. The stream's owner closes it."""


class Sink:
    """Writes the data from `put` to `target` in a thread of its own, in order; `name` is shown to operators."""

    def __init__(self, name: str, target: Target, *, backlog_bytes_max: int = BACKLOG_BYTES_MAX) -> None:
        self.name = name
        self.lines_lost = 0
        self._target = target
        self._backlog_bytes_max = backlog_bytes_max
        self._changed = threading.Condition()
        self._backlog: deque[tuple[bytes, int]] = deque()
        self._backlog_bytes = 0
        self._is_to_reopen = False
        self._is_stopping = False
        self._error: Exception | None = None
        self._lost_in_a_row = 0
        self._lost_at: float | None = None
        self._writing_since: float | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._is_stopping = False
        self._thread = threading.Thread(target=self._write_until_stopped, name=f"log {self.name}", daemon=True)
        self._thread.start()

    def put(self, data: bytes, lines: int) -> None:
        """Queue `data`, which has `lines` whole lines. Never waits; if the backlog is full, they are lost."""
        with self._changed:
            first_lost = False
            if self._backlog_bytes >= self._backlog_bytes_max:
                first_lost = self._lost_in_a_row == 0
                self.lines_lost += lines
                self._lost_in_a_row += lines
                self._lost_at = time.monotonic()
            else:
                self._backlog.append((data, lines))
                self._backlog_bytes += len(data)
                self._changed.notify()
        if first_lost:
            _logger.warning("%s is losing lines: %s.", self.name, self._why)

    def reopen(self) -> None:
        """Reopen the target before the next write. Callable from any thread."""
        with self._changed:
            self._is_to_reopen = True
            self._changed.notify()

    def stop(self, seconds: float) -> None:
        """Write the backlog within `seconds`, then end; a write that hangs is abandoned."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)
            if not self._thread.is_alive():
                self._target.close()
            self._thread = None

    @property
    def is_written(self) -> bool:
        """Whether lines reach the target."""
        return self._error is None and not self._is_stalled

    @property
    def trouble(self) -> str | None:
        """What is wrong, now or within the last minutes, and how many lines were lost since the start."""
        lost = f"{self.lines_lost} lines are lost since the start"
        if not self.is_written:
            return f"{self.name} cannot be written: {self._why}; {lost}"
        if self._lost_at is not None and time.monotonic() - self._lost_at < LOSS_REMEMBERED_SECONDS:
            return f"{self.name} lost lines within the last {LOSS_REMEMBERED_SECONDS / 60:.0f} minutes; {lost}"
        return None

    # ------------------------------------------------------------------ within

    @property
    def _why(self) -> str:
        error = self._error
        if error is None:
            return "its reader or its disk hangs" if self._is_stalled else "more lines are logged than can be written"
        return error.strerror or str(error) if isinstance(error, OSError) else type(error).__name__

    @property
    def _is_stalled(self) -> bool:
        since = self._writing_since
        return since is not None and time.monotonic() - since > STALLED_SECONDS

    def _write_until_stopped(self) -> None:
        while (work := self._next_work()) is not None:
            batch, reopens = work
            self._writing_since = time.monotonic()
            try:
                if reopens:
                    self._target.open()
                if batch:
                    self._target.write(b"".join([data for data, _ in batch]))
            except Exception as error:
                self._writing_since = None
                self._fell_short(error)
            else:
                self._writing_since = None
                self._succeeded(len(batch))

    def _next_work(self) -> tuple[list[tuple[bytes, int]], bool] | None:
        """The next batches, which stay in the backlog until they are written, and whether to reopen.

        After a failure it returns one batch at a time: on a full disk, a small one may still fit.
        """
        with self._changed:
            if self._error is not None:
                self._changed.wait_for(lambda: self._is_to_reopen or self._is_stopping, RETRY_SECONDS)
            else:
                self._changed.wait_for(lambda: self._backlog or self._is_to_reopen or self._is_stopping)
            if self._is_stopping and (self._error is not None or not self._backlog):
                return None
            reopens, self._is_to_reopen = self._is_to_reopen or self._error is not None, False
            batches = list(self._backlog)
            return batches if self._error is None else batches[:1], reopens

    def _fell_short(self, error: Exception) -> None:
        is_first = self._error is None
        with self._changed:
            self._error = error
        if is_first:
            _logger.warning("%s cannot be written: %s. Retrying every second.", self.name, self._why)

    def _succeeded(self, batches: int) -> None:
        with self._changed:
            for _ in range(batches):
                data, _ = self._backlog.popleft()
                self._backlog_bytes -= len(data)
            lost, self._lost_in_a_row = self._lost_in_a_row, 0
            error, self._error = self._error, None
        if lost or error is not None:
            _logger.warning("%s can be written again; %d lines were lost.", self.name, lost)
