"""Database URLs are read as SQLAlchemy and PostgreSQL write them; nonsense is refused, and kept quiet."""

from __future__ import annotations

import pytest

from domain.errors import ConfigurationError
from domain.storage import database_url
from domain.storage.urls import hosts_of

SCHEME = "postgresql+asyncpg://"


@pytest.mark.parametrize(
    ("rest", "hosts"),
    [
        ("ada@db/seatsaga", [("db", None)]),
        ("ada@db:6543/seatsaga", [("db", 6543)]),
        ("ada@[::1]:6543/seatsaga", [("::1", 6543)]),
        ("/seatsaga", [(None, None)]),
        ("ada@a,b/seatsaga", [("a", 5432), ("b", 5432)]),
        ("ada@a:1,b:2/seatsaga", [("a", 1), ("b", 2)]),
        ("ada@a,b:2,c/seatsaga", [("a", 5432), ("b", 2), ("c", 5432)]),
        ("ada@[::1]:1,[fe80::2]/seatsaga", [("::1", 1), ("fe80::2", 5432)]),
        ("a,b", [("a", 5432), ("b", 5432)]),
        ("a:1,b:2/seatsaga?sslmode=require", [("a", 1), ("b", 2)]),
        ("ada@/seatsaga?host=a:1&host=b", [("a", 1), ("b", 5432)]),
        ("ada@/seatsaga?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("ada@/seatsaga?host=a,b,c&port=7", [("a", 7), ("b", 7), ("c", 7)]),
        ("ada@/seatsaga?host=[::1]:1&host=[::2]", [("::1", 1), ("::2", 5432)]),
        ("ada@/seatsaga?host=::1&host=::2&port=7", [("::1", 7), ("::2", 7)]),
        ("ada@/seatsaga?host=/run/postgresql", [("/run/postgresql", None)]),
        ("ada@/seatsaga?host=/run/postgresql&port=6543", [("/run/postgresql", 6543)]),
    ],
)
def test_hosts_and_ports_are_read_both_ways(rest: str, hosts: list[tuple[str | None, int | None]]) -> None:
    assert hosts_of(database_url(SCHEME + rest)) == hosts


@pytest.mark.parametrize("password", ["a,b", "a@b", "a,b@c,d", "a%2Fb,c", "@,@", "a:b,c:d@e"])
@pytest.mark.parametrize("hosts", ["db", "db:1", "a:1,b:2"])
def test_a_password_may_hold_what_parts_hosts(password: str, hosts: str) -> None:
    url = database_url(f"{SCHEME}ada:{password}@{hosts}/seatsaga")
    assert (url.username, url.password, url.database) == ("ada", password.replace("%2F", "/"), "seatsaga")
    assert len(hosts_of(url)) == hosts.count(",") + 1


def test_the_other_parts_of_a_url_of_several_hosts_stay() -> None:
    url = database_url(f"{SCHEME}ada:secret@a,b/seatsaga?target_session_attrs=any&application_name=x,y")
    assert (url.username, url.password, url.database) == ("ada", "secret", "seatsaga")
    assert url.query["target_session_attrs"] == "any"
    assert url.query["application_name"] == "x,y"


def test_commas_besides_the_hosts_make_no_hosts() -> None:
    assert hosts_of(database_url(f"{SCHEME}ada@db/sea,saga?application_name=x,y")) == [("db", None)]


@pytest.mark.parametrize(
    "rest",
    [
        "ada:secret@a:one,b/seatsaga",
        "ada:secret@a,/seatsaga",
        "ada:secret@,b/seatsaga",
        "ada:secret@a,b:/x:1/seatsaga?host=c",
        "ada:secret@a,b/seatsaga?host=c",
        "ada:secret@db:port/seatsaga",
        "ada:secret@a:1:2,b/seatsaga",
        "ada:secret@/seatsaga?host=a:one&host=b",
        "ada:secret@/seatsaga?host=a,b&port=one",
        "ada:secret@/seatsaga?host=a&port=one",
    ],
)
def test_nonsense_is_refused_without_the_password(rest: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_url(SCHEME + rest)
    assert str(caught.value).startswith("SEATSAGA_DATABASE_URL must be ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("host=a,b,c&port=1,2", "SEATSAGA_DATABASE_URL names 3 hosts and 2 ports."),
        ("host=a&host=b&port=1,2,3", "SEATSAGA_DATABASE_URL names 2 hosts and 3 ports."),
    ],
)
def test_hosts_and_ports_that_do_not_match_are_refused(rest: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        database_url(f"{SCHEME}ada:secret@/seatsaga?{rest}")
    assert str(caught.value) == said
