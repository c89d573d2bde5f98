"""Gathers every feature's tables: the one module besides a feature itself that may see them."""

from __future__ import annotations

from domain.storage import metadata

__all__ = ["metadata"]
