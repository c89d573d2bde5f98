"""The libpq parameters of a database URL: each is used with libpq's meaning, or refused by name.

asyncpg knows the parameters for TLS, `service`, `passfile` and `target_session_attrs`; those are passed
on. asyncpg would send unknown parameters to the server as settings. Parameters that it reads differently
from libpq are read here: escapes in a password file, `sslrootcert=system`. A parameter that is not
libpq's is a setting of the server, as with asyncpg.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL

from domain.errors import ConfigurationError

__all__ = ["UrlWordError", "Words", "check_words", "stored_password", "words_of"]


class UrlWordError(ConfigurationError):
    """A database URL has a parameter that is not supported; the message names it and says what to do."""


#: For these parameters, the values that describe the behaviour in any case; any other value is not supported.
_SO_ANYWAY: Final = {
    "channel_binding": (
        ("disable", "prefer"),
        "the driver cannot bind a password to its channel; leave it out, and set sslmode=verify-full against impostors",
    ),
    "client_encoding": (("auto", "utf8", "utf-8"), "everything is UTF-8 here; leave it out"),
    "gssencmode": (("disable", "prefer"), "the driver cannot encrypt by GSSAPI; leave it out, and set sslmode"),
    "load_balance_hosts": (("disable",), "hosts are tried in their order; leave it out"),
    "sslcompression": (("0",), "TLS is not compressed; leave it out"),
    "sslcertmode": (("allow",), "a certificate is sent if the server asks for one; leave it out"),
    "sslsni": (("1",), "the server's name is always sent; leave it out"),
    "hostaddr": ((), "put the address in place of the host, or its name into /etc/hosts"),
    "replication": ((), "replication is not supported; leave it out"),
    "requirepeer": (
        (),
        "the driver cannot check the owner of a socket's server; leave it out, and protect the socket's folder",
    ),
    "require_auth": (
        (),
        "the driver uses the method that the server asks for; leave it out, and set it in pg_hba.conf",
    ),
    "requiressl": ((), "write sslmode=require"),
    "scram_client_key": ((), "give the password, in a password file or PGPASSWORD"),
    "scram_server_key": ((), "give the password, in a password file or PGPASSWORD"),
    "servicefile": ((), "set PGSERVICEFILE"),
    "sslcrldir": ((), "put the revoked certificates into one file, and name it as sslcrl"),
    "sslkeylogfile": ((), "set SSLKEYLOGFILE"),
    "sslpassword": (
        (),
        "it would be shown with the URL; use a key without a passphrase, readable by its owner alone",
    ),
    "gssdelegation": (("0",), "credentials are not handed on; leave it out"),
}
_NUMBERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
#: libpq's parameter, and its socket option.
_SOCKET_OPTIONS: Final = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
_OURS: Final = frozenset({*_NUMBERS, *_SO_ANYWAY, "application_name", "fallback_application_name"})
_TLS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")
#: A field of a password file: no colon, unless a backslash escapes it.
_FIELD: Final = re.compile(r"((?:\\.|[^\\:])*)(?::|$)", re.S)


@dataclass(frozen=True, slots=True)
class Words:
    """The parameters of a URL beside the address: those for the driver, and those that this module handles."""

    for_driver: dict[str, Any]
    connect_seconds_max: float | None
    server_settings: dict[str, str]
    socket_options: tuple[tuple[int, int, int], ...]
    tls: ssl.SSLContext | None


def check_words(url: URL) -> None:
    """Raise UrlWordError for a parameter that is not supported."""
    for word, (so_anyway, remedy) in _SO_ANYWAY.items():
        value = url.query.get(word)
        if value is not None and value not in so_anyway:
            shown = word if word == "sslpassword" else f"{word}={value}"
            raise UrlWordError(f"the database URL has {shown}, which is not supported: {remedy}.")
    for word in _NUMBERS:
        value = url.query.get(word)
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value)):
            raise UrlWordError(f"the database URL has {word}={value}, which is not a whole number; write one.")
    if url.query.get("sslrootcert") == "system" and url.query.get("sslmode", "verify-full") != "verify-full":
        raise UrlWordError(
            f"the database URL says sslmode={url.query['sslmode']} and sslrootcert=system, which trusts any"
            " server that any authority has certified; write sslmode=verify-full, or leave it out."
        )


def words_of(url: URL) -> Words:
    """The parameters of `url`, which `check_words` accepted. Raises UrlWordError if a certificate cannot be read."""
    query: dict[str, Any] = dict(url.query)
    name = query.get("application_name") or query.get("fallback_application_name")
    timeout = int(query.get("connect_timeout") or 0)
    tls = None
    if query.get("sslrootcert") == "system":
        tls = _system_tls(query.get("sslcert"), query.get("sslkey"))
        for word in _TLS:
            query.pop(word, None)
    return Words(
        {word: value for word, value in query.items() if word not in _OURS},
        # As in libpq, zero or less means no limit; then our own limit remains.
        float(timeout) if timeout > 0 else None,
        {"application_name": str(name)} if name else {},
        tuple(_socket_options(query)),
        tls,
    )


def _socket_options(query: dict[str, Any]) -> list[tuple[int, int, int]]:
    """As in libpq, keepalives are on unless they are 0, and a time of 0 is the system's default."""
    found = []
    if int(query.get("keepalives") or 1):
        found.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
    for word, option in _SOCKET_OPTIONS.items():
        value = int(query.get(word) or 0)
        # libpq also ignores an option that the system lacks.
        if value > 0 and hasattr(socket, option) and (found or word == "tcp_user_timeout"):
            found.append((socket.IPPROTO_TCP, getattr(socket, option), value))
    return found


def _system_tls(certificate: str | None, key: str | None) -> ssl.SSLContext:
    """The system's trusted certificates, with a check of the server's name."""
    context = ssl.create_default_context()
    if certificate:
        try:
            context.load_cert_chain(certificate, key)
        except OSError as error:
            raise UrlWordError(
                f"the database URL says sslcert={certificate}, which cannot be read with its key: {error}."
            ) from error
    return context


def stored_password(passfile: str | None, host: str, port: int, database: str, user: str) -> str | None:
    """The password that libpq would take from its password file, or None.

    `passfile`: from the URL; else PGPASSFILE, else ~/.pgpass. As in libpq, a file that others may read
    is ignored; a backslash escapes a colon and itself.
    """
    path = Path(passfile or os.environ.get("PGPASSFILE") or Path("~/.pgpass").expanduser())
    try:
        if not path.is_file() or path.stat().st_mode & 0o077:
            return None
        lines = path.read_text().splitlines()
    except OSError:
        return None
    # A folder of sockets is written there as localhost.
    wanted = ("localhost" if host.startswith("/") else host, str(port), database, user)
    for line in lines:
        fields = [re.sub(r"\\(.)", r"\1", field) for field in _FIELD.findall(line)]
        patterns = _FIELD.findall(line)[:4]
        if line.startswith("#") or len(patterns) < 4 or len(fields) < 5:
            continue
        if all(pattern == "*" or field == want for pattern, field, want in zip(patterns, fields, wanted, strict=False)):
            return fields[4]
    return None
