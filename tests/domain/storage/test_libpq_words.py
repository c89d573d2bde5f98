"""libpq's words in a database URL mean what they mean to libpq, or are refused by name; a real server is asked."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url

from app.settings import load_settings
from domain.errors import ConfigurationError
from domain.storage import Bounds, Server, database_url
from domain.storage.libpq import UrlWordError, stored_password, words_of


@pytest.fixture
def backend() -> str:
    """SQLite has no server."""
    return "postgresql"


def said(url: str, *words: str) -> str:
    """`url` with words behind it."""
    return url + ("&" if "?" in url else "?") + "&".join(words)


async def session(url: str, setting: str = "application_name") -> str:
    """What a session opened by `url` has as `setting`."""
    connection = await Server(database_url(url)).connect()
    try:
        value: str = await connection.fetchval("SELECT current_setting($1)", setting)
        return value
    finally:
        await connection.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_a_url_connects_as_libpq_writes_it(database_url: str, scheme: str) -> None:
    url = database_url.replace("postgresql+asyncpg", scheme)
    assert (await session(url)).startswith("seatsaga ")
    assert load_settings({"SEATSAGA_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "words",
    [
        "connect_timeout=10",
        "connect_timeout=0",
        "keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=10000",
        "keepalives=0",
        "channel_binding=prefer",
        "channel_binding=disable",
        "gssencmode=prefer&sslcompression=0&sslsni=1&client_encoding=UTF8".replace("UTF8", "utf8"),
        "sslmode=prefer",
        "sslmode=disable",
        "target_session_attrs=read-write",
        "target_session_attrs=any",
        "load_balance_hosts=disable",
    ],
)
async def test_words_that_can_be_obeyed_are(database_url: str, words: str) -> None:
    assert (await session(said(database_url, words))).startswith("seatsaga ")


async def test_the_name_and_the_options_of_a_session_are_the_urls(database_url: str) -> None:
    assert await session(said(database_url, "application_name=tower")) == "tower"
    assert await session(said(database_url, "fallback_application_name=apron")) == "apron"
    url = said(database_url, "options=-c%20work_mem%3D5MB")
    assert await session(url, "work_mem") == "5MB"


async def test_a_word_that_is_none_of_libpqs_is_a_setting_of_the_server(database_url: str) -> None:
    assert await session(said(database_url, "work_mem=6MB"), "work_mem") == "6MB"


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("channel_binding=require", "sslmode=verify-full"),
        ("gssencmode=require", "sslmode"),
        ("hostaddr=10.0.0.1", "in place of the host"),
        ("require_auth=scram-sha-256", "pg_hba.conf"),
        ("requirepeer=postgres", "folder"),
        ("load_balance_hosts=random", "in their order"),
        ("replication=database", "leave it out"),
        ("client_encoding=latin1", "UTF-8"),
        ("sslcompression=1", "leave it out"),
        ("sslrootcert=system&sslmode=require", "sslmode=verify-full"),
        ("connect_timeout=soon", "whole number"),
        ("keepalives_idle=1.5", "whole number"),
        ("keepalives=1&keepalives=0", "whole number"),
    ],
)
@pytest.mark.parametrize("scheme", ["postgres://", "postgresql+asyncpg://"])
def test_a_word_that_cannot_be_obeyed_is_refused_by_name(scheme: str, word: str, remedy: str) -> None:
    url = f"{scheme}ada:hunter2@db/seatsaga?{word}"
    with pytest.raises(UrlWordError) as caught:
        database_url(url)
    assert word.split("=")[0] in str(caught.value)
    assert remedy in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UrlWordError, match=word.split("=")[0]):
        load_settings({"SEATSAGA_DATABASE_URL": url})


def test_a_passphrase_is_refused_without_being_shown() -> None:
    with pytest.raises(UrlWordError, match="sslpassword") as caught:
        database_url("postgres://db/seatsaga?sslpassword=hunter2")
    assert "hunter2" not in str(caught.value)


def test_the_timeout_of_the_url_is_the_shorter_of_two() -> None:
    def timeout(words: str) -> Any:
        return Server(database_url(f"postgres://db/x?{words}"), bounds=Bounds(connect_seconds=5.0))._arguments({})[
            "timeout"
        ]

    assert [timeout(f"connect_timeout={seconds}") for seconds in (2, 30, 0, -1)] == [2.0, 5.0, 5.0, 5.0]


async def test_keepalives_are_set_on_the_socket(database_url: str) -> None:
    url = make_url(said(database_url, "keepalives_idle=31", "keepalives_interval=7", "keepalives_count=4"))
    connection = await Server(url).connect()
    try:
        driver: Any = connection
        sock = driver._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [31, 7, 4]
    finally:
        await connection.close()


def test_keepalives_may_be_off_and_a_time_of_zero_is_the_systems() -> None:
    assert words_of(database_url("postgres://db/x?keepalives=0&keepalives_idle=9")).socket_options == ()
    on = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),)
    assert words_of(database_url("postgres://db/x?keepalives_idle=0")).socket_options == on
    assert words_of(database_url("postgres://db/x")).socket_options == on


def test_the_systems_certificates_check_the_servers_name() -> None:
    tls = words_of(database_url("postgres://db/x?sslrootcert=system")).tls
    assert tls is not None
    assert tls.check_hostname
    arguments = Server(database_url("postgres://db/x?sslrootcert=system&sslmode=verify-full"))._arguments({})
    assert arguments["ssl"].check_hostname


async def test_a_server_without_tls_is_no_server_to_who_trusts_the_system_alone(database_url: str) -> None:
    with pytest.raises((ConnectionError, OSError)):
        await session(said(database_url, "sslrootcert=system"))


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("db:5432:seats:ada:secret", "secret"),
        ("*:*:*:*:secret", "secret"),
        (r"db:5432:seats:ada:se\:cr\\et", r"se:cr\et"),
        (r"db:5432:seats:ad\a:secret", "secret"),
        ("db:5433:seats:ada:secret", None),
        ("other:5432:seats:ada:secret", None),
        ("# db:5432:seats:ada:secret", None),
        ("db:5432:seats", None),
        ("\ndb:5432:seats:bob:no\ndb:*:*:ada:secret", "secret"),
    ],
)
def test_a_password_file_is_read_as_libpq_reads_it(tmp_path: Path, line: str, password: str | None) -> None:
    file = tmp_path / "passwords"
    file.write_text(line + "\n")
    file.chmod(0o600)
    assert stored_password(str(file), "db", 5432, "seats", "ada") == password
    file.chmod(0o644)
    assert stored_password(str(file), "db", 5432, "seats", "ada") is None, "others may read it"


def test_each_host_has_the_password_that_the_file_has_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    file = tmp_path / "passwords"
    file.write_text("a:1:seats:ada:first\nb:2:seats:ada:se\\:cond\nlocalhost:5432:seats:ada:third\n")
    file.chmod(0o600)
    url = f"postgres://ada@a:1,b:2,c:3/seats?passfile={file}"
    assert Server(database_url(url))._passwords == [{"password": "first"}, {"password": "se:cond"}, {}]
    sockets = f"postgres://ada@/seats?host=/run/postgresql&passfile={file}"
    assert Server(database_url(sockets))._passwords == [{"password": "third"}]
    assert Server(database_url(f"postgres://ada:own@a:1/seats?passfile={file}"))._passwords == [{}]


def test_what_stands_in_the_query_takes_its_place_and_a_password_is_not_shown() -> None:
    url = database_url("postgres://db?user=ada&password=hunter2&dbname=seats")
    assert (url.username, url.password, url.database, dict(url.query)) == ("ada", "hunter2", "seats", {})
    assert "hunter2" not in url.render_as_string(hide_password=True)


def test_a_folder_of_sockets_may_stand_percent_encoded_in_the_place_of_the_host() -> None:
    server = Server(database_url("postgresql://ada@%2Frun%2Fpostgresql:6543/seats"))
    assert server._names == ["postgresql://ada@/seats?host=%2Frun%2Fpostgresql&port=6543"]


@pytest.mark.parametrize("password", ["p%40ss%2Fw%3Ard", "a%25b", "sp%20ace"])
def test_percent_encoding_comes_through(password: str) -> None:
    server = Server(database_url(f"postgres://a%40da:{password}@db/seats"))
    (name,) = server._names
    made = make_url(name)
    assert (made.username, made.password) == (
        "a@da",
        URL.create("x", password=None) and make_url(f"x://u:{password}@h").password,
    )


def test_what_is_no_database_of_ours_is_refused_as_before() -> None:
    with pytest.raises(ConfigurationError, match="must be sqlite"):
        database_url("mysql://db/seats")
