"""Statements are compiled once a process, not once an engine: each test has engines of its own.

A compiled statement is the same for all engines of one dialect: we configure none in a way that changes texts.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, event

__all__ = ["share"]


class _Compiled(dict[Any, Any]):
    """In SQLAlchemy's keys the dialect comes first, as an object of the engine. Here it is the dialect's class."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_class(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_of_class(key), compiled)


def _of_class(key: Any) -> Any:
    dialect, *rest = key
    return type(dialect), *rest


_COMPILED: Final = _Compiled()


def share() -> None:
    """From now on, in this process."""
    if not event.contains(Engine, "engine_connect", _share):
        event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    if "compiled_cache" not in connection.get_execution_options():
        connection.engine.update_execution_options(compiled_cache=_COMPILED)
        connection.execution_options(compiled_cache=_COMPILED)
