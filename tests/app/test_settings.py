"""Settings are read once, and a wrong one is refused by one line that says what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.limit_settings import CallerLimits
from app.settings import OWN_PATHS, Settings, is_loopback, load_settings
from domain.bookings import InventoryLimits
from domain.errors import ConfigurationError
from domain.guard import GuardLimits
from domain.storage import Bounds

SECRET = "a secret that nobody but us may read"
JWT = {"SEATSAGA_AUTH": "jwt", "SEATSAGA_JWT_SECRET": SECRET}
PER_CALLER = {
    "SEATSAGA_MUTATIONS_PER_MINUTE_MAX": "5",
    "SEATSAGA_MUTATIONS_BURST_MAX": "2",
    "SEATSAGA_HOLDS_PER_CALLER_MAX": "3",
    "SEATSAGA_HOLD_SECONDS": "450",
    "SEATSAGA_CABIN_PERCENT_PER_CALLER_MAX": "50",
    "SEATSAGA_SEATS_PER_CALLER_MAX": "7",
    "SEATSAGA_CANCELLED_SEATS_MINUTES": "10",
    "SEATSAGA_FAILURES_PER_CALLER_MAX": "2",
    "SEATSAGA_FAILURE_WAIT_SECONDS_MAX": "60",
    "SEATSAGA_SUBSCRIPTIONS_PER_CALLER_MAX": "4",
    "SEATSAGA_SOCKETS_PER_CALLER_MAX": "5",
    "SEATSAGA_COST_PER_MINUTE_MAX": "6",
}
ANY_NUMBER = {
    "SEATSAGA_MUTATIONS_PER_MINUTE_MAX": "0",
    "SEATSAGA_HOLDS_PER_CALLER_MAX": "0",
    "SEATSAGA_CABIN_PERCENT_PER_CALLER_MAX": "0",
    "SEATSAGA_SEATS_PER_CALLER_MAX": "0",
    "SEATSAGA_FAILURES_PER_CALLER_MAX": "0",
    "SEATSAGA_SUBSCRIPTIONS_PER_CALLER_MAX": "0",
    "SEATSAGA_SOCKETS_PER_CALLER_MAX": "0",
    "SEATSAGA_COST_PER_MINUTE_MAX": "0",
}
DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def refusal(environment: dict[str, str]) -> str:
    """The one line by which `environment` is refused."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environment)
    line = str(caught.value)
    assert "\n" not in line
    assert caught.value.__cause__ is None
    return line


# ---------------------------------------------------------------------- defaults


def test_without_any_variable_all_settings_are_the_documented_defaults() -> None:
    assert load_settings({}).model_dump() == {
        "database_url": "sqlite+aiosqlite:///data/seatsaga.db",
        "database_direct_url": None,
        "database_connections_max": 16,
        "database_statement_seconds": None,
        "database_connect_seconds": None,
        "database_hints": "on",
        "host": "127.0.0.1",
        "port": 8000,
        "base_path": "",
        "admin_token": None,
        "token": None,
        "auth": "none",
        "jwt_secret": None,
        "jwks_url": None,
        "jwt_issuer": None,
        "jwt_audience": None,
        "jwt_leeway_seconds": 10,
        "introspection": "on",
        "persisted_queries": "off",
        "trusted_documents": None,
        "hold_seconds": 900,
        "closing_minutes": 30,
        "expiry_interval_seconds": 30.0,
        "lease_seconds": 15.0,
        "document_depth_max": 15,
        "document_aliases_max": 30,
        "document_tokens_max": 2_000,
        "document_characters_max": 65_536,
        "variables_values_max": 2_000,
        "document_cost_max": 250_000,
        "answer_bytes_max": 4_194_304,
        "cost_per_minute_max": None,
        "page_rows_max": 100,
        "body_bytes_max": 1_048_576,
        "frame_bytes_max": 1_048_576,
        "requests_active_max": 10_000,
        "socket_init_seconds": 10.0,
        "connections_idle_max": 5_000,
        "sockets_opening_max": 1_000,
        "socket_init_bytes_max": 4_096,
        "sockets_per_caller_max": None,
        "socket_idle_seconds": 300.0,
        "socket_operations_max": 100,
        "subscriptions_per_caller_max": None,
        "mutations_per_minute_max": None,
        "mutations_burst_max": 30,
        "guest_lookups_per_minute_max": 10,
        "holds_per_caller_max": None,
        "cabin_percent_per_caller_max": None,
        "seats_per_caller_max": None,
        "cancelled_seats_minutes": 1_440,
        "failures_per_caller_max": None,
        "failure_wait_seconds_max": 900,
        "provider_calls_max": None,
        "provider_calls_per_second": None,
        "sagas_active_max": 10_000,
        "simulation": None,
        "payments": "sandbox",
        "stripe_api_key": None,
        "stripe_api_base": None,
        "stripe_webhook_secret": None,
        "log_format": "console",
        "log_dir": Path("logs"),
        "log_file_bytes_max": 20_000_000,
        "log_salt": None,
        "allowed_origins": (),
        "allowed_headers": (),
        "websocket_compression": "off",
        "forwarded_allow_ips": (),
        "drain_seconds": 0.0,
    }


STRIPE = {"payments": "stripe", "stripe_api_key": "sk_test_12345"}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_variable_is_in_the_documentation(name: str) -> None:
    variable = "STRIPE_API_KEY" if name == "stripe_api_key" else f"SEATSAGA_{name.upper()}"
    assert f"`{variable}`" in DOCS.read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_leaves_the_default_in_force(name: str) -> None:
    variable = "STRIPE_API_KEY" if name == "stripe_api_key" else f"SEATSAGA_{name.upper()}"
    assert load_settings({variable: ""}) == load_settings({})


def test_the_environment_of_the_process_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATSAGA_PORT", "8123")
    assert load_settings().port == 8123


# ---------------------------------------------------------------------- every variable


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("SEATSAGA_DATABASE_URL", "sqlite+aiosqlite:////srv/my.db", "sqlite+aiosqlite:////srv/my.db"),
        ("SEATSAGA_DATABASE_URL", "postgresql+asyncpg://me@db/seats", "postgresql+asyncpg://me@db/seats"),
        ("SEATSAGA_DATABASE_CONNECTIONS_MAX", "4", 4),
        ("SEATSAGA_DATABASE_CONNECTIONS_MAX", "500", 500),
        ("SEATSAGA_DATABASE_STATEMENT_SECONDS", "0.5", 0.5),
        ("SEATSAGA_DATABASE_CONNECT_SECONDS", "0.2", 0.2),
        ("SEATSAGA_DATABASE_HINTS", "off", "off"),
        ("SEATSAGA_HOST", "::1", "::1"),
        ("SEATSAGA_PORT", "65535", 65_535),
        ("SEATSAGA_BASE_PATH", "/seats/", "/seats"),
        ("SEATSAGA_ADMIN_TOKEN", "x" * 16, SecretStr("x" * 16)),
        ("SEATSAGA_JWT_SECRET", "x" * 32, SecretStr("x" * 32)),
        ("SEATSAGA_JWKS_URL", "https://id.example/jwks", "https://id.example/jwks"),
        ("SEATSAGA_JWT_ISSUER", "https://id.example", "https://id.example"),
        ("SEATSAGA_JWT_AUDIENCE", "seatsaga", "seatsaga"),
        ("SEATSAGA_JWT_LEEWAY_SECONDS", "0", 0),
        ("SEATSAGA_INTROSPECTION", "off", "off"),
        ("SEATSAGA_PERSISTED_QUERIES", "automatic", "automatic"),
        ("SEATSAGA_HOLD_SECONDS", "2", 2),
        ("SEATSAGA_CLOSING_MINUTES", "0", 0),
        ("SEATSAGA_EXPIRY_INTERVAL_SECONDS", "0.1", 0.1),
        ("SEATSAGA_LEASE_SECONDS", "2", 2.0),
        ("SEATSAGA_DOCUMENT_DEPTH_MAX", "100", 100),
        ("SEATSAGA_DOCUMENT_ALIASES_MAX", "0", 0),
        ("SEATSAGA_DOCUMENT_TOKENS_MAX", "10", 10),
        ("SEATSAGA_DOCUMENT_COST_MAX", "1", 1),
        ("SEATSAGA_PAGE_ROWS_MAX", "1", 1),
        ("SEATSAGA_BODY_BYTES_MAX", "1024", 1_024),
        ("SEATSAGA_FRAME_BYTES_MAX", "67108864", 67_108_864),
        ("SEATSAGA_REQUESTS_ACTIVE_MAX", "1", 1),
        ("SEATSAGA_SOCKET_INIT_SECONDS", "0.1", 0.1),
        ("SEATSAGA_SOCKET_OPERATIONS_MAX", "10000", 10_000),
        ("SEATSAGA_SUBSCRIPTIONS_PER_CALLER_MAX", "0", 0),
        ("SEATSAGA_MUTATIONS_PER_MINUTE_MAX", "1000000", 1_000_000),
        ("SEATSAGA_MUTATIONS_BURST_MAX", "1", 1),
        ("SEATSAGA_GUEST_LOOKUPS_PER_MINUTE_MAX", "1000000", 1_000_000),
        ("SEATSAGA_HOLDS_PER_CALLER_MAX", "162", 162),
        ("SEATSAGA_CABIN_PERCENT_PER_CALLER_MAX", "100", 100),
        ("SEATSAGA_SEATS_PER_CALLER_MAX", "162", 162),
        ("SEATSAGA_CANCELLED_SEATS_MINUTES", "0", 0),
        ("SEATSAGA_FAILURES_PER_CALLER_MAX", "1000", 1_000),
        ("SEATSAGA_FAILURE_WAIT_SECONDS_MAX", "3600", 3_600),
        ("SEATSAGA_SAGAS_ACTIVE_MAX", "1", 1),
        ("SEATSAGA_SIMULATION", "off", "off"),
        ("SEATSAGA_PAYMENTS", "sandbox", "sandbox"),
        ("STRIPE_API_KEY", "sk_test_1", SecretStr("sk_test_1")),
        ("SEATSAGA_STRIPE_API_BASE", "http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", "whsec_0123456789", SecretStr("whsec_0123456789")),
        ("SEATSAGA_LOG_FORMAT", "json", "json"),
        ("SEATSAGA_LOG_DIR", "/var/log/seatsaga", Path("/var/log/seatsaga")),
        ("SEATSAGA_WEBSOCKET_COMPRESSION", "on", "on"),
        ("SEATSAGA_ALLOWED_HEADERS", "X-Shop-Session, x-a,", ("X-Shop-Session", "x-a")),
        (
            "SEATSAGA_ALLOWED_ORIGINS",
            "https://a.example/, http://b.example:81,",
            ("https://a.example", "http://b.example:81"),
        ),
        (
            "SEATSAGA_ALLOWED_ORIGINS",
            "HTTPS://Shop.Example:443,http://c.example:80,http://[::1]:5173",
            ("https://shop.example", "http://c.example", "http://[::1]:5173"),
        ),
    ],
)
def test_a_variable_sets_its_field_and_no_other(variable: str, text: str, value: object) -> None:
    name = variable.removeprefix("SEATSAGA_").lower()
    settings, defaults = load_settings({variable: text}).model_dump(), load_settings({}).model_dump()
    assert settings.pop(name) == value
    defaults.pop(name)
    assert settings == defaults


@pytest.mark.parametrize(
    ("variable", "value", "may_be"),
    [
        ("SEATSAGA_DATABASE_URL", "seatsaga.db", "postgresql+asyncpg://USER@HOST/DATABASE"),
        ("SEATSAGA_DATABASE_URL", "sqlite:///seatsaga.db", "sqlite+aiosqlite:///FILE"),
        ("SEATSAGA_DATABASE_URL", "mysql+aiomysql://me@db/seats", "sqlite+aiosqlite:///FILE"),
        ("SEATSAGA_DATABASE_URL", "sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///FILE"),
        ("SEATSAGA_DATABASE_URL", "sqlite+aiosqlite://", "sqlite+aiosqlite:///FILE"),
        ("SEATSAGA_DATABASE_URL", "postgresql+asyncpg://a:one,b/seats", "postgresql+asyncpg://USER@HOST/DATABASE"),
        ("SEATSAGA_DATABASE_URL", "postgresql+asyncpg:///seats?host=a,b&port=1,2,3", "postgresql+asyncpg://"),
        ("SEATSAGA_DATABASE_DIRECT_URL", "postgresql+psycopg://db/seats", "postgresql+asyncpg://USER@HOST/DATABASE"),
        ("SEATSAGA_DATABASE_DIRECT_URL", "sqlite+aiosqlite:///seats.db", "postgresql+asyncpg://USER@HOST/DATABASE"),
        ("SEATSAGA_DATABASE_CONNECTIONS_MAX", "3", "a whole number from 4 to 500"),
        ("SEATSAGA_DATABASE_CONNECTIONS_MAX", "501", "a whole number from 4 to 500"),
        ("SEATSAGA_DATABASE_STATEMENT_SECONDS", "0.4", "0.5 to 60 seconds"),
        ("SEATSAGA_DATABASE_STATEMENT_SECONDS", "61", "0.5 to 60 seconds"),
        ("SEATSAGA_DATABASE_CONNECT_SECONDS", "0.1", "0.2 to 30 seconds"),
        ("SEATSAGA_DATABASE_CONNECT_SECONDS", "31", "0.2 to 30 seconds"),
        ("SEATSAGA_DATABASE_HINTS", "yes", "on or off"),
        ("SEATSAGA_HOST", "0.0.0.0", "SEATSAGA_AUTH=jwt, or SEATSAGA_HOST=127.0.0.1"),
        ("SEATSAGA_PORT", "0", "a port from 1 to 65535"),
        ("SEATSAGA_PORT", "65536", "a port from 1 to 65535"),
        ("SEATSAGA_PORT", "http", "a port from 1 to 65535"),
        ("SEATSAGA_AUTH", "basic", "none (on loopback only) or jwt"),
        ("SEATSAGA_JWT_LEEWAY_SECONDS", "-1", "a whole number from 0 to 300"),
        ("SEATSAGA_JWT_LEEWAY_SECONDS", "301", "a whole number from 0 to 300"),
        ("SEATSAGA_JWT_LEEWAY_SECONDS", "1.5", "a whole number from 0 to 300"),
        ("SEATSAGA_INTROSPECTION", "true", "on or off"),
        ("SEATSAGA_PERSISTED_QUERIES", "on", "off, automatic or only"),
        ("SEATSAGA_HOLD_SECONDS", "1", "a whole number of seconds, 2 to 86400"),
        ("SEATSAGA_HOLD_SECONDS", "86401", "a whole number of seconds, 2 to 86400"),
        ("SEATSAGA_HOLD_SECONDS", "900.5", "a whole number of seconds, 2 to 86400"),
        ("SEATSAGA_CLOSING_MINUTES", "-1", "a whole number of minutes, 0 to 10080"),
        ("SEATSAGA_CLOSING_MINUTES", "10081", "a whole number of minutes, 0 to 10080"),
        ("SEATSAGA_EXPIRY_INTERVAL_SECONDS", "0.05", "0.1 to 3600 seconds"),
        ("SEATSAGA_EXPIRY_INTERVAL_SECONDS", "3601", "0.1 to 3600 seconds"),
        ("SEATSAGA_LEASE_SECONDS", "1.9", "2 to 300 seconds"),
        ("SEATSAGA_LEASE_SECONDS", "301", "2 to 300 seconds"),
        ("SEATSAGA_LEASE_SECONDS", "nan", "2 to 300 seconds"),
        ("SEATSAGA_DOCUMENT_DEPTH_MAX", "0", "how many levels a document may have, 1 to 100"),
        ("SEATSAGA_DOCUMENT_DEPTH_MAX", "101", "how many levels a document may have, 1 to 100"),
        ("SEATSAGA_DOCUMENT_ALIASES_MAX", "-1", "how many aliases a document may have, 0 to 1000"),
        ("SEATSAGA_DOCUMENT_ALIASES_MAX", "1001", "how many aliases a document may have, 0 to 1000"),
        ("SEATSAGA_DOCUMENT_TOKENS_MAX", "9", "how many tokens a document may have, 10 to 100000"),
        ("SEATSAGA_DOCUMENT_TOKENS_MAX", "2k", "how many tokens a document may have, 10 to 100000"),
        ("SEATSAGA_DOCUMENT_COST_MAX", "0", "how many points an operation may cost, 1 to 10000000"),
        ("SEATSAGA_PAGE_ROWS_MAX", "0", "how many rows a page may have, 1 to 100"),
        ("SEATSAGA_PAGE_ROWS_MAX", "101", "how many rows a page may have, 1 to 100"),
        ("SEATSAGA_BODY_BYTES_MAX", "1023", "how many bytes a body may have, 1024 to 67108864"),
        ("SEATSAGA_BODY_BYTES_MAX", "1MiB", "how many bytes a body may have, 1024 to 67108864"),
        ("SEATSAGA_FRAME_BYTES_MAX", "67108865", "how many bytes a frame of a socket may have, 1024 to 67108864"),
        ("SEATSAGA_REQUESTS_ACTIVE_MAX", "0", "how many requests, streams and sockets may be served at once"),
        ("SEATSAGA_SOCKET_INIT_SECONDS", "0", "0.1 to 300 seconds in which a socket must send connection_init"),
        ("SEATSAGA_SOCKET_OPERATIONS_MAX", "0", "how many operations may run on one socket, 1 to 10000"),
        ("SEATSAGA_SUBSCRIPTIONS_PER_CALLER_MAX", "-1", "1 to 1000000, or 0 for any number"),
        ("SEATSAGA_MUTATIONS_PER_MINUTE_MAX", "off", "1 to 1000000, or 0 for any number"),
        ("SEATSAGA_MUTATIONS_BURST_MAX", "0", "how many mutations one caller may send at once, 1 to 100000"),
        (
            "SEATSAGA_GUEST_LOOKUPS_PER_MINUTE_MAX",
            "0",
            "how many bookings guests at one address may look up a minute, 1 to 1000000",
        ),
        ("SEATSAGA_HOLDS_PER_CALLER_MAX", "163", "1 to 162, or 0 for any number"),
        ("SEATSAGA_CABIN_PERCENT_PER_CALLER_MAX", "101", "1 to 100, or 0 for all"),
        ("SEATSAGA_SEATS_PER_CALLER_MAX", "163", "1 to 162, or 0 for any number"),
        ("SEATSAGA_CANCELLED_SEATS_MINUTES", "-1", "0 to 10080"),
        ("SEATSAGA_FAILURES_PER_CALLER_MAX", "1001", "1 to 1000, or 0 for any number"),
        ("SEATSAGA_FAILURE_WAIT_SECONDS_MAX", "0", "1 to 3600 seconds"),
        ("SEATSAGA_SAGAS_ACTIVE_MAX", "0", "how many sagas may be in flight, 1 or more"),
        ("SEATSAGA_SIMULATION", "yes", "on or off"),
        ("SEATSAGA_PAYMENTS", "paypal", "sandbox or stripe"),
        ("SEATSAGA_LOG_FORMAT", "xml", "console or json"),
        ("SEATSAGA_ALLOWED_ORIGINS", "*", "separated by commas: https://shop.example"),
        ("SEATSAGA_ALLOWED_ORIGINS", "shop.example", "separated by commas: https://shop.example"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://a.example,https://b.example/shop", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://*.example", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://me@a.example", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://a.example?x", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://a.example:port", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "https://", "separated by commas"),
        ("SEATSAGA_ALLOWED_ORIGINS", "null", "separated by commas"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_may_be(variable: str, value: str, may_be: str) -> None:
    line = refusal({variable: value})
    assert line.startswith(f"{variable}={value}")
    assert may_be in line


@pytest.mark.parametrize(
    ("variable", "value", "may_be"),
    [
        ("SEATSAGA_ADMIN_TOKEN", "fifteen letters", "16 ASCII characters or more"),
        ("SEATSAGA_ADMIN_TOKEN", "ein Schlüssel für alle", "16 ASCII characters or more"),
        ("SEATSAGA_JWT_SECRET", "as few as thirty-one characters", "32 characters or more"),
        ("SEATSAGA_JWT_SECRET", "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI", "and no PEM key"),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", "sk_test_0123456789", "separated by a comma: whsec_..."),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", "whsec_short", "separated by a comma: whsec_..."),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", "whsec_0123456789,", "separated by a comma: whsec_..."),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", "whsec_012345678 9", "separated by a comma: whsec_..."),
        ("SEATSAGA_STRIPE_WEBHOOK_SECRET", ",".join(["whsec_0123456789"] * 3), "separated by a comma: whsec_..."),
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(variable: str, value: str, may_be: str) -> None:
    line = refusal({variable: value})
    assert line.startswith(f"{variable} is not valid")
    assert value not in line
    assert may_be in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SEATSAGA_JWKS_URL", "jwks.json"), ("SEATSAGA_STRIPE_API_BASE", "api.example")],
)
def test_what_is_no_url_is_refused_where_a_url_is_wanted(variable: str, value: str) -> None:
    assert refusal({variable: value}).startswith(f"{variable}={value}")


def test_a_key_set_is_not_fetched_in_the_clear() -> None:
    assert "https" in refusal({"SEATSAGA_JWKS_URL": "http://id.example/jwks"})


# ---------------------------------------------------------------------- what is never shown


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://me:hunter2@db/seats",
        "postgresql+psycopg://:hunter2@db/seats",
        "mysql://me:hunter2:hunter2@db/seats",
    ],
)
def test_the_password_of_a_url_is_not_shown(url: str) -> None:
    line = refusal({"SEATSAGA_DATABASE_URL": url})
    assert "hunter2" not in line
    assert "***@db/seats" in line


@pytest.mark.parametrize(
    "url",
    ["mysql://me:hun@hunter2@db/seats", "postgresql+psycopg://me@db/seats?password=hunter2"],
)
def test_an_unusual_password_of_a_url_is_not_shown_either(url: str) -> None:
    assert "hunter2" not in refusal({"SEATSAGA_DATABASE_URL": url})


def test_settings_shown_as_text_keep_their_secrets() -> None:
    settings = load_settings(JWT | {"SEATSAGA_ADMIN_TOKEN": SECRET, "STRIPE_API_KEY": SECRET})
    assert SECRET not in f"{settings} {settings!r} {settings.model_dump()}"


def test_one_or_two_secrets_sign_stripes_events_where_payments_are_stripes() -> None:
    secrets = {"SEATSAGA_STRIPE_WEBHOOK_SECRET": "whsec_0123456789, whsec_9876543210"}
    settings = load_settings(secrets | {"SEATSAGA_PAYMENTS": "stripe", "STRIPE_API_KEY": "sk_test_1"})
    assert settings.webhook_secrets == ("whsec_0123456789", "whsec_9876543210")
    assert "0123456789" not in f"{settings} {settings!r} {settings.model_dump()}"
    assert load_settings(secrets).webhook_secrets == ()


def test_a_value_of_two_lines_is_refused_in_one() -> None:
    assert refusal({"SEATSAGA_PORT": "80\n00"}).startswith("SEATSAGA_PORT=80")


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SEATSAGA_DATABSE_URL", "SEATSAGA_DATABASE_URL"),
        ("SEATSAGA_LOG_FROMAT", "SEATSAGA_LOG_FORMAT"),
        ("SEATSAGA_STRIPE_API_KEY", "STRIPE_API_KEY"),
    ],
)
def test_a_mistyped_variable_is_refused_with_the_one_that_was_meant(variable: str, meant: str) -> None:
    line = refusal({variable: SECRET})
    assert line.startswith(f"{variable} is not a setting")
    assert line.endswith(f"did you mean {meant}?")
    assert SECRET not in line


def test_a_variable_like_no_other_is_refused_with_all_that_there_are() -> None:
    line = refusal({"SEATSAGA_QZX": "1"})
    assert "did you mean" not in line
    for variable in ("SEATSAGA_DATABASE_URL", "SEATSAGA_PORT", "STRIPE_API_KEY"):
        assert variable in line


def test_variables_of_others_and_of_the_tests_are_let_be() -> None:
    environment = {"HOME": "/", "PORT": "x", "SEATSAGA_TEST_POSTGRES_URL": "x", "SEATSAGAS": "x"}
    assert load_settings(environment) == load_settings({})


# ---------------------------------------------------------------------- what goes together


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "seats.example", "127.0.0.1.example"])
def test_without_authentication_only_loopback_may_be_listened_on(host: str) -> None:
    assert refusal({"SEATSAGA_HOST": host}).startswith(f"SEATSAGA_HOST={host}:")
    assert load_settings(JWT | {"SEATSAGA_HOST": host}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_needs_no_authentication(host: str) -> None:
    assert is_loopback(host)
    assert load_settings({"SEATSAGA_HOST": host}).auth == "none"


def test_jwt_needs_a_secret_or_a_key_set() -> None:
    assert refusal({"SEATSAGA_AUTH": "jwt"}) == "SEATSAGA_AUTH=jwt needs SEATSAGA_JWT_SECRET or SEATSAGA_JWKS_URL."
    assert load_settings(JWT).auth == "jwt"
    assert load_settings({"SEATSAGA_AUTH": "jwt", "SEATSAGA_JWKS_URL": "https://id.example/jwks"}).auth == "jwt"


def test_tokens_are_signed_one_way_or_the_other() -> None:
    line = refusal(JWT | {"SEATSAGA_JWKS_URL": "https://id.example/jwks"})
    assert line.startswith("SEATSAGA_JWT_SECRET and SEATSAGA_JWKS_URL are both set")
    assert SECRET not in line


@pytest.mark.parametrize(
    ("lease", "hosts", "statement", "connect", "idle"),
    [
        (15, "a", 10, 5, 10),
        (300, "a", 10, 5, 200),
        (3, "a", 2, 1, 2),
        (16, "a,b", 10, 4, 16 * 2 / 3),
        (15, "a,b,c", 10, 3, 10),
    ],
)
def test_what_hangs_is_given_up_before_the_lease_lapses(
    lease: float, hosts: str, statement: float, connect: float, idle: float
) -> None:
    url = f"postgresql+asyncpg://{hosts}/seats"
    bounds = load_settings({"SEATSAGA_DATABASE_URL": url, "SEATSAGA_LEASE_SECONDS": str(lease)}).database_bounds
    assert bounds == Bounds(16, connect, statement, idle, lease)


def test_times_that_are_set_go_before_those_that_suit_the_lease() -> None:
    settings = load_settings(
        {
            "SEATSAGA_DATABASE_CONNECTIONS_MAX": "40",
            "SEATSAGA_DATABASE_STATEMENT_SECONDS": "14.5",
            "SEATSAGA_DATABASE_CONNECT_SECONDS": "14",
        }
    )
    assert settings.database_bounds == Bounds(40, 14, 14.5, 10, 15)


@pytest.mark.parametrize("name", ["STATEMENT", "CONNECT"])
def test_nothing_may_take_as_long_as_the_lease(name: str) -> None:
    assert refusal({f"SEATSAGA_DATABASE_{name}_SECONDS": "4", "SEATSAGA_LEASE_SECONDS": "4"}) == (
        f"SEATSAGA_DATABASE_{name}_SECONDS=4 must be less than SEATSAGA_LEASE_SECONDS=4, after which others take our "
        "sagas over."
    )


@pytest.mark.parametrize("variable", ["SEATSAGA_DATABASE_URL", "SEATSAGA_DATABASE_DIRECT_URL"])
def test_all_hosts_together_may_not_take_as_long_as_the_lease(variable: str) -> None:
    one = {"SEATSAGA_DATABASE_URL": "postgresql+asyncpg://a/seats", "SEATSAGA_DATABASE_CONNECT_SECONDS": "5"}
    assert refusal(one | {variable: "postgresql+asyncpg://a,b,c/seats"}).startswith(
        "SEATSAGA_DATABASE_CONNECT_SECONDS=5, for each of 3 hosts, must be less than SEATSAGA_LEASE_SECONDS=15, "
    )
    load_settings(one | {variable: "postgresql+asyncpg://a,b/seats"})


def test_a_file_has_no_pooler() -> None:
    direct = {"SEATSAGA_DATABASE_DIRECT_URL": "postgresql+asyncpg://a/seats"}
    assert "SEATSAGA_DATABASE_URL is a file" in refusal(direct)
    assert load_settings({}).direct_url == load_settings({}).database_url
    pooled = load_settings(direct | {"SEATSAGA_DATABASE_URL": "postgresql+asyncpg://pooler/seats"})
    assert pooled.direct_url == direct["SEATSAGA_DATABASE_DIRECT_URL"]


def test_stripe_needs_its_key() -> None:
    assert refusal({"SEATSAGA_PAYMENTS": "stripe"}) == "SEATSAGA_PAYMENTS=stripe needs STRIPE_API_KEY."
    assert load_settings({"SEATSAGA_PAYMENTS": "stripe", "STRIPE_API_KEY": "sk_test_1"}).payments == "stripe"


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_a_live_key_wants_authentication(key: str) -> None:
    live = {"SEATSAGA_PAYMENTS": "stripe", "STRIPE_API_KEY": key}
    told = refusal(live)
    assert told.startswith("STRIPE_API_KEY is a live key")
    assert key not in told
    assert load_settings(live | JWT).payments == "stripe"
    assert load_settings({"STRIPE_API_KEY": key}).payments == "sandbox", "then it is not used"


def test_proxies_are_addresses_and_networks() -> None:
    given = {"SEATSAGA_FORWARDED_ALLOW_IPS": " 10.0.0.5, 10.1.0.0/16,2001:db8::/32 , "}
    assert load_settings(given).forwarded_allow_ips == ("10.0.0.5", "10.1.0.0/16", "2001:db8::/32")
    for wrong in ("*", "proxy.example", "10.0.0.5/8", "10.0.0.5 10.0.0.6", "10.0.0.256"):
        told = refusal({"SEATSAGA_FORWARDED_ALLOW_IPS": wrong})
        assert told == (
            f"SEATSAGA_FORWARDED_ALLOW_IPS={wrong} is not valid; expected: addresses and networks of proxies, "
            "separated by commas: 10.0.0.5, 10.1.0.0/16."
        )


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({}, True),
        ({"SEATSAGA_SIMULATION": "off"}, False),
        (JWT, False),
        (JWT | {"SEATSAGA_SIMULATION": "on"}, True),
    ],
)
def test_faults_may_be_injected_as_set_else_where_everybody_is_trusted(
    environment: dict[str, str], allowed: bool
) -> None:
    assert load_settings(environment).simulation_allowed is allowed


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, CallerLimits(None, 30, InventoryLimits(), None, None, None)),
        (JWT, CallerLimits(60, 30, InventoryLimits(18, 75, 36, 86_400, 5, 900), 200, 100, 2_500_000)),
        (PER_CALLER, CallerLimits(5, 2, InventoryLimits(3, 50, 7, 600, 2, 60, 450), 4, 5, 6)),
        (JWT | PER_CALLER, CallerLimits(5, 2, InventoryLimits(3, 50, 7, 600, 2, 60, 450), 4, 5, 6)),
        (JWT | ANY_NUMBER, CallerLimits(None, 30, InventoryLimits(), None, None, None)),
    ],
)
def test_a_caller_is_limited_as_set_else_where_callers_are_told_apart(
    environment: dict[str, str], expected: CallerLimits
) -> None:
    assert load_settings(environment).caller_limits == expected


@pytest.mark.parametrize(
    ("url", "is_embedded", "folder"),
    [
        ("sqlite+aiosqlite:///data/seatsaga.db", True, "data"),
        ("sqlite+aiosqlite:////srv/seats/my.db", True, "/srv/seats"),
        ("postgresql+asyncpg://me@db/seats", False, "data"),
    ],
)
def test_files_are_kept_beside_an_embedded_database(url: str, is_embedded: bool, folder: str) -> None:
    settings = load_settings({"SEATSAGA_DATABASE_URL": url})
    assert settings.is_embedded is is_embedded
    assert settings.data_dir == Path(folder)


# ---------------------------------------------------------------------- overrides


def test_an_override_goes_before_the_environment_and_none_is_no_override() -> None:
    settings = load_settings({"SEATSAGA_PORT": "8001", "SEATSAGA_LOG_FORMAT": "json"}, port=8002, log_format=None)
    assert (settings.port, settings.log_format) == (8002, "json")


def test_a_wrong_override_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"^SEATSAGA_PORT=70000 is not valid; expected: a port from 1 to"):
        load_settings({}, port=70_000)
    with pytest.raises(ConfigurationError, match=r"^SEATSAGA_HOST=0\.0\.0\.0: without authentication"):
        load_settings({}, host="0.0.0.0")


def test_settings_do_not_change() -> None:
    settings = load_settings({})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        ({}, GuardLimits(10_000, is_shared=False)),
        ({"provider_calls_max": 8, "provider_calls_per_second": 2.5}, GuardLimits(8, 2.5)),
        (STRIPE, GuardLimits(64, learns_rate=True)),
        (STRIPE | {"provider_calls_max": 8, "provider_calls_per_second": 2.5}, GuardLimits(8, 2.5, learns_rate=True)),
    ],
    ids=["sandbox", "sandbox, set", "stripe", "stripe, set"],
)
def test_the_guard_has_the_limits_that_are_set_or_those_of_its_provider(
    given: dict[str, Any], limits: GuardLimits
) -> None:
    assert load_settings({}, **given).guard_limits == limits


# ---------------------------------------------------------------------- the base path


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/seats", "/seats"),
        ("/seats/", "/seats"),
        ("/a/b-c_d.e~f/9", "/a/b-c_d.e~f/9"),
        ("/", ""),
        ("/sagas", "/sagas"),
    ],
)
def test_a_base_path_is_taken(given: str, taken: str) -> None:
    assert load_settings({"SEATSAGA_BASE_PATH": given}).base_path == taken


@pytest.mark.parametrize(
    "given",
    [
        "seats",
        "//seats",
        "/seats//",
        "/a//b",
        "/a/../b",
        "/..",
        "/./a",
        "/a b",
        "/a?b",
        "/a#b",
        "/%61",
        "/ä",
        "/a\n",
        '/"><script>',
        "https://shop.example/seats",
        "/" + "a" * 200,
        *(f"/{path}" for path in OWN_PATHS),
        "/saga/seats",
    ],
)
def test_any_other_is_refused_by_a_line_that_says_what_it_may_be(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"SEATSAGA_BASE_PATH=.* is not valid; expected: a path .* /seats"):
        load_settings({"SEATSAGA_BASE_PATH": given})
