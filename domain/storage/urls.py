"""Database URLs, in SQLAlchemy's form and in that of PostgreSQL's own programs."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import ConfigurationError
from domain.storage.libpq import check_words

__all__ = ["DRIVERS", "database_url", "hosts_of"]

DRIVERS: Final = ("sqlite+aiosqlite", "postgresql+asyncpg")
_PLACED: Final = ("user", "password", "dbname", "database")
_LIBPQ_SCHEMES: Final = ("postgres", "postgresql")
#: scheme://user:password@host:port,host:port/database?options: several hosts, as in libpq.
_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<scheme>[^:/?#]+://)(?P<who>[^/?#]*@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>(?:[/?#].*)?)"
)
#: A password may contain an @: the last one before the hosts is the separator.
_WHO: Final = re.compile(r"(?<=://)[^/?#]*(?=@[^@/?#]*(?:[/?#]|$))")
_PORT_DEFAULT: Final = 5432


def database_url(text: str | URL) -> URL:
    """The URL in `text`. Several hosts are written `HOST:PORT,HOST:PORT` or `?host=HOST:PORT&host=HOST:PORT`.

    `postgres://` and `postgresql://`, libpq's forms, mean PostgreSQL by asyncpg too. Raises UrlWordError
    for a libpq parameter that is not supported, and ConfigurationError for anything but SQLite by
    aiosqlite and PostgreSQL by asyncpg.
    """
    try:
        url = _with_several_hosts(_escaped(text)) if isinstance(text, str) else text
        if url.drivername in _LIBPQ_SCHEMES:
            url = url.set(drivername=DRIVERS[1])
        if url.drivername == DRIVERS[1]:
            url = _in_its_place(url)
            check_words(url)
            hosts_of(url)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in DRIVERS:
        raise ConfigurationError(
            "SEATSAGA_DATABASE_URL must be sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/DATABASE."
        )
    return url


def _in_its_place(url: URL) -> URL:
    """Move values from the query to their own place in the URL: a password in the query would be shown with the URL."""
    query = dict(url.query)
    given = {word: value for word in _PLACED if isinstance(value := query.pop(word, None), str)}
    url = url.set(
        username=given.get("user", url.username),
        password=given.get("password", url.password),
        database=given.get("dbname", given.get("database", url.database)),
    )
    if url.host is not None and url.host[:3].upper() == "%2F":
        # A folder of sockets, in the host's place as libpq writes it.
        query["host"] = unquote(url.host)
        if url.port is not None:
            query["port"] = str(url.port)
        url = url._replace(host=None, port=None)
    return url.set(query=query)


def hosts_of(url: URL) -> list[tuple[str | None, int | None]]:
    """The hosts, or folders of sockets, of a PostgreSQL URL, each with its port; None: the environment names it.

    Raises ValueError for a port that is not a number, ConfigurationError if hosts and ports do not match.
    """
    given = url.query.get("host", ())
    hosts = given.split(",") if isinstance(given, str) else given
    if not hosts:
        return [(url.host, url.port)]
    ports = str(url.query.get("port", "")).split(",")
    if len(ports) not in (1, len(hosts)):
        raise ConfigurationError(f"SEATSAGA_DATABASE_URL names {len(hosts)} hosts and {len(ports)} ports.")
    return [_host_and_port(host, ports[position % len(ports)]) for position, host in enumerate(hosts)]


def _host_and_port(text: str, port_besides: str) -> tuple[str, int | None]:
    if text.startswith("/"):
        return text, int(port_besides) if port_besides else None
    name, port = _parted(text)
    return name.strip("[]"), int(port or port_besides or _PORT_DEFAULT)


def _parted(host: str) -> tuple[str, str]:
    """The name and the port, which may be missing; an IPv6 address with a port is in brackets."""
    if host.endswith("]") or (host.count(":") != 1 and not host.startswith("[")):
        return host, ""
    name, _, port = host.rpartition(":")
    return name, port


def _escaped(text: str) -> str:
    return _WHO.sub(lambda who: who[0].replace("@", "%40"), text)


def _with_several_hosts(text: str) -> URL:
    found = _SEVERAL_HOSTS.fullmatch(text)
    if found is None:
        return make_url(text)
    url = make_url(f"{found['scheme']}{found['who'] or ''}{found['rest']}")
    if "host" in url.query:
        raise ValueError("hosts are given in both places")
    hosts = tuple(found["hosts"].split(","))
    for name, port in map(_parted, hosts):
        if not name or (":" in name and not name.startswith("[")) or not (port or "0").isdecimal():
            raise ValueError("not a host and a port")
    several: Any = hosts
    return url.update_query_dict({"host": several})
