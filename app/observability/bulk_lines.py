"""The log lines of bulk actions: one when an operator starts one, and one at its end."""

from __future__ import annotations

import logging

from domain.bulk import BulkActionEnded, BulkActionStarted

__all__ = ["log_bulk_actions"]

_logger = logging.getLogger("seatsaga.bulk")


def log_bulk_actions(signal: object) -> None:
    """A telemetry handler."""
    match signal:
        case BulkActionStarted(action):
            _logger.info("Bulk action %s: %s of %d sagas begins.", action.id, action.kind, action.matched)
        case BulkActionEnded(action):
            _logger.info("Bulk action %s, %s, is %s.", action.id, action.kind, action.line)
