"""Checks at start, on the server itself, whether the PostgreSQL of the settings is fit for use.

An unfit server is refused before anything is changed: too old, read-only, too few connections, behind a
pooler without a direct URL, or a direct URL to another database. A fit server that may lose data, or
has too few connections for another replica, causes a warning: in the log at start, and in /readyz as
long as it is true.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.migrations import REFUSED_BY_POOLERS
from app.settings import Settings
from domain.errors import ConfigurationError
from domain.storage import Database, Server, database_url, patiently

__all__ = ["ServerFacts", "connections_needed", "fitness_warnings", "refuse_unfit", "require_fit", "weaknesses"]

VERSION_MIN: Final = 15
#: How long a start waits for a server that restarts or fails over.
START_SECONDS_MAX: Final = 3.0
#: A replica's connections besides its pool: one that listens, and those of the sandbox's books, to read and write.
_CONNECTIONS_FOR_HINTS: Final = 1
_CONNECTIONS_FOR_BOOKS: Final = 2
_KEY_BITS: Final = 62
#: Options of a URL that name files, for TLS; this one of their values names none.
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_OF_THE_SYSTEM: Final = "system"
_ASK: Final = """
SELECT CAST(current_setting('server_version_num') AS integer) / 10000 AS version,
    pg_is_in_recovery() AS is_standby,
    current_setting('default_transaction_read_only') = 'on' AS is_read_only,
    -- What is reserved, and what the database and the user may have; -1 is no limit.
    least(
        CAST(current_setting('max_connections') AS integer)
            - CAST(current_setting('superuser_reserved_connections') AS integer)
            - CAST(coalesce(current_setting('reserved_connections', true), '0') AS integer),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user)
    ) AS connections_max,
    current_setting('fsync') = 'off' AS fsync_is_off,
    current_setting('full_page_writes') = 'off' AS full_page_writes_is_off,
    current_setting('synchronous_commit') = 'off' AS synchronous_commit_is_off,
    current_setting('server_encoding') AS encoding
"""
_ASK_AGAIN: Final = text(_ASK)
_IDLE_SETTING: Final = "SELECT setting FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_TRY_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(CAST(:key AS bigint))")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Facts that a server reports. `connections_max`: the connections that all our replicas together may have."""

    version: int
    is_standby: bool
    is_read_only: bool
    connections_max: int
    fsync_is_off: bool
    full_page_writes_is_off: bool
    synchronous_commit_is_off: bool
    encoding: str = "UTF8"


def connections_needed(settings: Settings) -> int:
    """The maximum number of connections to the server itself of one replica with these settings."""
    pool = 0 if settings.database_direct_url else settings.database_connections_max
    hints = _CONNECTIONS_FOR_HINTS if settings.database_hints == "on" else 0
    books = _CONNECTIONS_FOR_BOOKS if settings.payments == "sandbox" else 0
    return max(1, pool + hints + books)


async def require_fit(settings: Settings, database: Database) -> Mapping[str, str]:
    """The warnings by name. Raises ConfigurationError if a replica cannot work with the server."""
    if database.direct is None:
        return {}
    for variable, url in (
        ("SEATSAGA_DATABASE_URL", settings.database_url),
        ("SEATSAGA_DATABASE_DIRECT_URL", settings.database_direct_url),
    ):
        _require_readable(variable, url)
    facts = await _facts_past_poolers(settings, database.direct)
    refuse_unfit(facts, settings)
    if settings.database_direct_url is not None:
        await _require_one_database(settings, database)
    return weaknesses(facts, connections_needed(settings))


def fitness_warnings(settings: Settings, database: Database) -> Mapping[str, Callable[[], Awaitable[str | None]]]:
    """The warnings of /readyz: each queries the server again."""
    if database.direct is None:
        return {}

    def warning(name: str) -> Callable[[], Awaitable[str | None]]:
        async def warn() -> str | None:
            facts = await database.read(_facts_within)
            return weaknesses(facts, connections_needed(settings)).get(name)

        return warn

    return {name: warning(name) for name in ("durability", "connections")}


def refuse_unfit(facts: ServerFacts, settings: Settings) -> None:
    """Raise ConfigurationError, whose one line says what to do, if no replica can work with such a server."""
    variable = _direct_variable(settings)
    if facts.version < VERSION_MIN:
        raise ConfigurationError(f"{variable} leads to PostgreSQL {facts.version}; it must be {VERSION_MIN} or newer.")
    if facts.is_standby:
        raise ConfigurationError(
            f"{variable} leads to a standby, which takes no writes; name the primary, or all hosts: "
            "HOST:PORT,HOST:PORT."
        )
    if facts.is_read_only:
        raise ConfigurationError(
            f"{variable} leads to a database that takes no writes; set its default_transaction_read_only to off."
        )
    if facts.encoding != "UTF8":
        raise ConfigurationError(
            f"{variable} leads to a database in {facts.encoding}, which cannot hold every passenger's name; make one "
            "with: createdb --encoding=UTF8 --template=template0"
        )
    needed = connections_needed(settings)
    if facts.connections_max < needed:
        remedy = "raise max_connections"
        if settings.database_direct_url is None:
            remedy = (
                f"set SEATSAGA_DATABASE_CONNECTIONS_MAX to less than {settings.database_connections_max}, or {remedy}"
            )
        raise ConfigurationError(
            f"the server of {variable} allows {facts.connections_max} connections, and this replica may need {needed}: "
            f"{remedy} there."
        )


def weaknesses(facts: ServerFacts, needed: int) -> dict[str, str]:
    """The warnings by name; `needed`: the connections that one replica may have."""
    found = {}
    off = {
        "fsync": facts.fsync_is_off,
        "full_page_writes": facts.full_page_writes_is_off,
        "synchronous_commit": facts.synchronous_commit_is_off,
    }
    if any(off.values()):
        names = " and ".join(name for name, is_off in off.items() if is_off)
        found["durability"] = f"{names} off: a crash of the server may lose what was answered"
    left = facts.connections_max - needed
    if left < needed:
        found["connections"] = f"the server has {left} connections for other replicas, and one may need {needed}"
    return found


def _require_readable(variable: str, url: str | None) -> None:
    """Raise ConfigurationError if a file that the URL names cannot be read: the driver's error does not name it."""
    options = database_url(url).query if url is not None else {}
    for option in _FILES:
        path = options.get(option)
        if not isinstance(path, str) or path in ("", _OF_THE_SYSTEM):
            continue
        try:
            with Path(path).expanduser().open("rb"):
                pass
        except OSError as error:
            raise ConfigurationError(f"{variable}: {option}={path} cannot be read ({error.strerror}).") from error


# ---------------------------------------------------------------------- asking


async def _facts_past_poolers(settings: Settings, server: Server) -> ServerFacts:
    """The server's facts, read over two sessions. Refuses a pooler that shares sessions between clients."""
    try:
        return await patiently(lambda: _ask_sessions(settings, server), seconds=START_SECONDS_MAX)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        if REFUSED_BY_POOLERS in str(error):
            raise _pooled(settings) from error
        raise _silent(_direct_variable(settings), settings.direct_url, error) from error


async def _ask_sessions(settings: Settings, server: Server) -> ServerFacts:
    first = await server.connect()
    try:
        second = await server.connect()
        try:
            await _require_sessions(settings, server, first, second)
            (row,) = await first.fetch(_ASK)
            return ServerFacts(**row)
        finally:
            second.terminate()
    finally:
        first.terminate()


async def _require_sessions(
    settings: Settings, server: Server, first: asyncpg.Connection, second: asyncpg.Connection
) -> None:
    """Refuse a pooler that drops our startup parameters or switches the server session between transactions."""
    # In transactions: behind a pooler, only a transaction is sure to stay on one session.
    async with first.transaction():
        idle = await first.fetchval(_IDLE_SETTING)
    wanted = server.bounds.idle_transaction_seconds
    if wanted is not None and idle != str(round(wanted * 1_000)):
        raise _pooled(settings)
    backends = [await _backend(connection) for connection in (first, second, first)]
    if backends[0] == backends[1] or backends[0] != backends[2]:
        raise _pooled(settings)


async def _backend(connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        number: int = await connection.fetchval("SELECT pg_backend_pid()")
        return number


async def _require_one_database(settings: Settings, database: Database) -> None:
    """Refuse two URLs that lead to different databases: a lock taken over one URL must be visible over the other."""
    assert database.direct is not None, "asked of PostgreSQL alone"
    key = secrets.randbits(_KEY_BITS)

    async def try_lock(connection: AsyncConnection) -> bool:
        return bool((await connection.execute(_TRY_LOCK, {"key": key})).scalar_one())

    direct = await database.direct.connect()
    try:
        async with direct.transaction():
            await direct.execute(_LOCK, key)
            is_elsewhere = await database.write(try_lock)
    except (SQLAlchemyError, OSError) as error:
        raise _silent("SEATSAGA_DATABASE_URL", settings.database_url, error) from error
    finally:
        direct.terminate()
    if is_elsewhere:
        raise ConfigurationError(
            "SEATSAGA_DATABASE_DIRECT_URL leads to another database than SEATSAGA_DATABASE_URL; "
            "it must lead to the same one, past the pooler."
        )


async def _facts_within(connection: AsyncConnection) -> ServerFacts:
    return ServerFacts(*(await connection.execute(_ASK_AGAIN)).one())


# ---------------------------------------------------------------------- saying


def _direct_variable(settings: Settings) -> str:
    return "SEATSAGA_DATABASE_DIRECT_URL" if settings.database_direct_url else "SEATSAGA_DATABASE_URL"


def _pooled(settings: Settings) -> ConfigurationError:
    if settings.database_direct_url is not None:
        return ConfigurationError(
            "SEATSAGA_DATABASE_DIRECT_URL leads to a pooler; it must lead to the server itself, past every pooler."
        )
    return ConfigurationError(
        "SEATSAGA_DATABASE_URL leads to a pooler; set SEATSAGA_DATABASE_DIRECT_URL besides, to the server itself."
    )


def _silent(variable: str, url: str, error: Exception) -> ConfigurationError:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return ConfigurationError(f"{variable}: none of its hosts takes writes.")
    # The lines below the first are the statement and a link.
    reason = str(error).partition("\n")[0]
    shown = database_url(url).render_as_string(hide_password=True)
    return ConfigurationError(f"{variable}={shown}: the database does not answer ({type(error).__name__}: {reason}).")
