"""Takes logging off the hot path: a bounded queue, and a thread that renders and writes.

A batch of 256 sagas commits hundreds of events, and rendering one line takes as long as a step of a
saga. So the event loop only queues the unrendered signal, and the thread renders and writes a batch
at a time. `put` never waits. If the queue is full, the newest item is dropped and counted, and the
thread logs how many lines are missing: nothing is dropped silently.

The standard library's QueueHandler renders a record before it queues it, and reports a full queue to standard error;
its QueueListener passes on one record at a time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["ITEMS_MAX_DEFAULT", "LogPipeline"]

ITEMS_MAX_DEFAULT: Final = 20_000
#: The thread waits so long to gather items, so that it writes seldom and leaves the GIL to the event loop.
GATHER_SECONDS: Final = 0.02
STOP_SECONDS: Final = 5.0
_STOP: Final = object()


class LogPipeline:
    """Passes all items from `put` to `write`, in order, in batches, in a thread of its own.

    `write(items, dropped)` also receives the number of lines dropped just before these items. If it
    raises, its items count as dropped, and the thread continues.
    """

    def __init__(self, write: Callable[[Sequence[Any], int], None], *, items_max: int = ITEMS_MAX_DEFAULT) -> None:
        self._write = write
        self._items_max = items_max
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped_total = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._turn_until_stopped, name="log", daemon=True)
        self._thread.start()

    def put(self, item: object, lines: int = 1) -> None:
        """Queue `item`, which makes `lines` lines. Never waits; callable from any thread."""
        if self._queue.qsize() >= self._items_max:
            with self._lock:
                self._dropped += lines
                self.dropped_total += lines
        else:
            self._queue.put(item)

    def stop(self) -> None:
        """Write the queued items, then end the thread; gives up after a few seconds."""
        if self._thread is not None:
            self._queue.put(_STOP)
            self._thread.join(STOP_SECONDS)
            self._thread = None

    def _turn_until_stopped(self) -> None:
        stopping = False
        while not stopping:
            items = [self._queue.get()]
            if items[0] is not _STOP:
                time.sleep(GATHER_SECONDS)
            while not self._queue.empty():
                items.append(self._queue.get())
            stopping = any(item is _STOP for item in items)
            self._write_batch([item for item in items if item is not _STOP])

    def _write_batch(self, items: list[Any]) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        try:
            self._write(items, dropped)
        except BaseException:
            # No exception may end the thread. The loss is reported with the next batch.
            with self._lock:
                self._dropped += dropped + len(items)
                self.dropped_total += len(items)
