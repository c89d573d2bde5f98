"""What is different about PostgreSQL, with reasons.

READ COMMITTED for writes: rows are locked first and judged afterwards, so each statement must
see what was committed before it began. Reads run REPEATABLE READ, READ ONLY: several
statements of one read see one moment. `command_timeout` stays below the lease, so that a
statement that hangs is given up before another replica may take the saga over.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["POOL_CONNECTIONS_MAX", "create_engines", "is_retryable"]

POOL_CONNECTIONS_MAX: Final = 10
POOL_TIMEOUT_SECONDS: Final = 10
_STATEMENTS_CACHED: Final = 512
#: serialization_failure, deadlock_detected, lock_not_available.
_RETRYABLE: Final = frozenset({"40001", "40P01", "55P03"})


def create_engines(url: URL, command_timeout_seconds: float) -> tuple[AsyncEngine, AsyncEngine]:
    """The writing engine and the reading one, each with a pool of its own, so that readers never starve writers."""
    shared: dict[str, Any] = {
        "pool_size": POOL_CONNECTIONS_MAX // 2,
        "max_overflow": POOL_CONNECTIONS_MAX // 2,
        "pool_timeout": POOL_TIMEOUT_SECONDS,
        "pool_pre_ping": True,
        # They are people's names and cards' tokens, which an error must not show.
        "hide_parameters": True,
        "connect_args": {
            "command_timeout": command_timeout_seconds,
            "timeout": POOL_TIMEOUT_SECONDS,
            "prepared_statement_cache_size": _STATEMENTS_CACHED,
            "server_settings": {"application_name": "seatsaga", "jit": "off"},
        },
    }
    writer = create_async_engine(url, isolation_level="READ COMMITTED", **shared)
    readers = create_async_engine(
        url, isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True}, **shared
    )
    return writer, readers


def is_retryable(error: BaseException) -> bool:
    """Whether the whole transaction is to be run again: it lost a race and did nothing."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _RETRYABLE
