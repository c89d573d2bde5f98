"""Telemetry: the domain emits signals; handlers outside turn them into logs and metrics.

A signal is a frozen dataclass; `Telemetry.emit` calls every attached handler in order.
A handler must be quick and must not block. If it raises, the standard logger reports it once;
the emitter is not affected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["Handler", "Telemetry"]

Handler = Callable[[Any], None]
_logger = logging.getLogger("seatsaga.telemetry")


class Telemetry:
    """The list of handlers; each gets every signal of the domain."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    def attach(self, handler: Handler) -> Callable[[], None]:
        """Call `handler` with every signal from now on; the returned function detaches it."""
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def emit(self, signal: object) -> None:
        """Call every handler with `signal`. Never raises."""
        for handler in self._handlers:
            try:
                handler(signal)
            except Exception:
                _logger.exception("A telemetry handler failed on %s.", type(signal).__name__)
