"""The core emits, handlers attach outside: logs and metrics are not the domain's business.

A signal is a frozen dataclass; `Telemetry.emit` hands it to every attached handler in order.
A handler must be quick and must not block; one that raises is reported once to the standard
logger and never harms the emitter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

__all__ = ["Handler", "Telemetry"]

Handler = Callable[[Any], None]
_logger = logging.getLogger("seatsaga.telemetry")


class Telemetry:
    """A list of handlers that hear everything the domain emits."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    def attach(self, handler: Handler) -> Callable[[], None]:
        """Let `handler` hear every signal from now on; the returned function detaches it."""
        self._handlers.append(handler)
        return lambda: self._handlers.remove(handler)

    def emit(self, signal: object) -> None:
        """Tell every handler of `signal`. Never raises."""
        for handler in self._handlers:
            try:
                handler(signal)
            except Exception:
                _logger.exception("A telemetry handler failed on %s.", type(signal).__name__)
