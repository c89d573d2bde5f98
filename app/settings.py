"""Reads and validates the SEATSAGA_* variables once. A wrong value ends the start with a line that names valid ones.

pydantic-settings reads the environment, too, but ignores unknown variables: a mistyped name would silently leave the
default in force.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from sqlalchemy.engine import URL

from app.escaping import escaped
from app.limit_settings import CallerLimits, LimitSettings, caller_limits, guard_limits
from domain.errors import ConfigurationError
from domain.guard import GuardLimits
from domain.storage import DRIVERS, Bounds, UrlWordError, database_url, hosts_of

__all__ = ["OWN_PATHS", "PREFIX", "Settings", "checked_base_path", "is_loopback", "load_settings"]

PREFIX: Final = "SEATSAGA_"
#: The default limit of a statement, if the lease is long enough.
STATEMENT_SECONDS_MAX: Final = 10.0
CONNECT_SECONDS_MAX: Final = 5.0
#: A password up to the last @, as it may contain others, or in the driver's query argument.
_PASSWORDS: Final = re.compile(r"(://[^:/@]*:).*(?=@)|([?&]password=)[^&]*", re.DOTALL)
#: Settings whose variable has no SEATSAGA_ prefix, as other programs define its name.
_FOREIGN: Final = {"stripe_api_key": "STRIPE_API_KEY"}


#: The first segments of the paths that the server serves. A base path must begin with another one.
OWN_PATHS: Final = ("admin", "console", "graphql", "healthz", "metrics", "readyz", "saga", "sandbox", "webhooks")
_BASE_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)+")
#: A token (RFC 9110), but no `*`: browsers do not take it for Authorization.
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]+")
_BASE_PATH_CHARACTERS_MAX: Final = 200


class Settings(LimitSettings):
    """The settings. Each field is read from the variable SEATSAGA_ plus its name in capitals."""

    database_url: str = Field(
        "sqlite+aiosqlite:///data/seatsaga.db",
        description="sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/DATABASE",
    )
    database_direct_url: str | None = Field(
        None, description="postgresql+asyncpg://USER@HOST/DATABASE, past the pooler that SEATSAGA_DATABASE_URL leads to"
    )
    database_connections_max: int = Field(16, description="a whole number from 4 to 500", ge=4, le=500)
    database_statement_seconds: float | None = Field(None, description="0.5 to 60 seconds", ge=0.5, le=60)
    database_connect_seconds: float | None = Field(None, description="0.2 to 30 seconds", ge=0.2, le=30)
    database_hints: Literal["on", "off"] = Field("on", description="on or off")
    host: str = Field("127.0.0.1", description="the address to listen on", min_length=1)
    port: int = Field(8000, description="a port from 1 to 65535", ge=1, le=65535)
    base_path: str = Field(
        "",
        description="a path of letters, digits and - . _ ~ such as /seats, whose first part is none of the server's "
        f"own ({', '.join(OWN_PATHS)})",
    )
    admin_token: SecretStr | None = Field(None, description="the operators' bearer token, 16 ASCII characters or more")
    token: SecretStr | None = Field(None, description="the bearer token of the customer for whom commands ask a server")
    auth: Literal["none", "jwt"] = Field("none", description="none (on loopback only) or jwt")
    jwt_secret: SecretStr | None = Field(None, description="the HS256 secret, 32 characters or more, and no PEM key")
    jwks_url: str | None = Field(None, description="the https URL of a JSON web key set (http on loopback alone)")
    jwt_issuer: str | None = Field(None, description="the issuer that tokens must name")
    jwt_audience: str | None = Field(None, description="the audience that tokens must name")
    jwt_leeway_seconds: int = Field(
        10, description="by how many seconds the issuer's clock may differ, a whole number from 0 to 300", ge=0, le=300
    )
    introspection: Literal["on", "off"] = Field("on", description="on or off")
    persisted_queries: Literal["off", "automatic", "only"] = Field("off", description="off, automatic or only")
    trusted_documents: Path | None = Field(
        None, description="a folder of .graphql documents, or a manifest of persisted documents: a .json file"
    )
    hold_seconds: int = Field(900, description="a whole number of seconds, 2 to 86400", ge=2, le=86_400)
    closing_minutes: int = Field(30, description="a whole number of minutes, 0 to 10080", ge=0, le=10_080)
    expiry_interval_seconds: float = Field(30.0, description="0.1 to 3600 seconds", ge=0.1, le=3600)
    lease_seconds: float = Field(15.0, description="2 to 300 seconds", ge=2, le=300)
    simulation: Literal["on", "off"] | None = Field(None, description="on or off")
    payments: Literal["sandbox", "stripe"] = Field("sandbox", description="sandbox or stripe")
    stripe_api_key: SecretStr | None = Field(None, description="the secret key of the Stripe account")
    stripe_api_base: str | None = Field(
        None, description="the https URL of the Stripe API, where it is not Stripe's own (http on loopback alone)"
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="one or two signing secrets of Stripe's webhook endpoint, separated by a comma: whsec_..."
    )
    drain_seconds: float = Field(0.0, description="0 to 3600 seconds", ge=0, le=3600)
    log_format: Literal["console", "json"] = Field("console", description="console or json")
    log_dir: Path = Field(Path("logs"), description="the folder of the log files, or - for standard error alone")
    log_file_bytes_max: int = Field(
        20_000_000,
        description="at how many bytes a log file is set aside, 10000 to 10000000000, or 0 for never",
        ge=0,
        le=10**10,
    )
    log_salt: SecretStr | None = Field(
        None, description="what callers are hashed with in the log, 16 characters or more"
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="browser origins besides our own, separated by commas: https://shop.example"
    )

    allowed_headers: tuple[str, ...] = Field(
        (), description="request headers that pages of those origins may send too, separated by commas: X-Shop-Session"
    )
    websocket_compression: Literal["on", "off"] = Field("off", description="on or off")
    forwarded_allow_ips: tuple[str, ...] = Field(
        (), description="addresses and networks of proxies, separated by commas: 10.0.0.5, 10.1.0.0/16"
    )

    @field_validator("base_path")
    @classmethod
    def _check_base_path(cls, path: str) -> str:
        return checked_base_path(path)

    @field_validator("allowed_headers")
    @classmethod
    def _check_headers(cls, headers: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_HEADER.fullmatch, headers)):
            raise ValueError("not the name of a header")
        return headers

    @field_validator("forwarded_allow_ips", "allowed_headers", mode="before")
    @classmethod
    def _split_parts(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _check_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            # Raises ValueError; a network must not name a host in it.
            ipaddress.ip_network(address)
        return addresses

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(_as_browsers_write(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(_is_origin, origins)):
            raise ValueError("not an origin")
        return origins

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        parsed = _parsed(url)
        if parsed.drivername == DRIVERS[0] and parsed.database in (None, "", ":memory:"):
            raise ValueError("not a file")
        return url

    @field_validator("database_direct_url")
    @classmethod
    def _check_direct_url(cls, url: str | None) -> str | None:
        if url is not None and _parsed(url).drivername == DRIVERS[0]:
            raise ValueError("a file has no pooler")
        return url

    @field_validator("jwks_url", "stripe_api_base")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if not parts.hostname or not (parts.scheme == "https" or _is_local(parts.scheme, parts.hostname)):
                raise ValueError("not a URL that can be trusted")
        return url

    @field_validator("log_file_bytes_max")
    @classmethod
    def _check_log_file_bytes(cls, size: int) -> int:
        if 0 < size < 10_000:
            raise ValueError("a file for every line")
        return size

    @field_validator("admin_token", "jwt_secret", "log_salt")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: Any) -> SecretStr | None:
        if secret is None:
            return None
        text = secret.get_secret_value()
        if len(text) < (32 if info.field_name == "jwt_secret" else 16):
            raise ValueError("too short")
        if info.field_name == "admin_token" and not text.isascii():
            raise ValueError("no header can hold it")
        if "-----BEGIN" in text:
            # A public key is not secret: anybody could sign tokens with it.
            raise ValueError("not a secret")
        return secret

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _check_webhook_secrets(cls, secrets: SecretStr | None) -> SecretStr | None:
        each = _split_secrets(secrets)
        if len(each) > 2 or not all(re.fullmatch(r"whsec_[!-~]{10,}", secret) for secret in each):
            raise ValueError("not a signing secret")
        return secrets

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.auth == "none" and not is_loopback(self.host):
            raise ConfigurationError(
                f"SEATSAGA_HOST={_shown(self.host)}: without authentication the server listens on loopback alone; "
                "set SEATSAGA_AUTH=jwt, or SEATSAGA_HOST=127.0.0.1."
            )
        if self.auth == "jwt" and self.jwt_secret is None and self.jwks_url is None:
            raise ConfigurationError("SEATSAGA_AUTH=jwt needs SEATSAGA_JWT_SECRET or SEATSAGA_JWKS_URL.")
        if self.jwt_secret is not None and self.jwks_url is not None:
            raise ConfigurationError(
                "SEATSAGA_JWT_SECRET and SEATSAGA_JWKS_URL are both set; tokens are signed one way: leave one out."
            )
        if self.is_embedded and self.database_direct_url is not None:
            raise ConfigurationError(
                "SEATSAGA_DATABASE_DIRECT_URL leads past a pooler of PostgreSQL connections, and SEATSAGA_DATABASE_URL "
                "is a file: leave it out."
            )
        if self.persisted_queries == "only" and self.trusted_documents is None:
            raise ConfigurationError("SEATSAGA_PERSISTED_QUERIES=only needs SEATSAGA_TRUSTED_DOCUMENTS.")
        if self.persisted_queries != "only" and self.trusted_documents is not None:
            raise ConfigurationError(
                "SEATSAGA_TRUSTED_DOCUMENTS is set, and without SEATSAGA_PERSISTED_QUERIES=only all documents may run: "
                "leave it out, or set that."
            )
        self._check_times()
        if self.payments == "stripe" and self.stripe_api_key is None:
            raise ConfigurationError("SEATSAGA_PAYMENTS=stripe needs STRIPE_API_KEY.")
        if self.payments == "stripe" and self.auth == "none" and _is_live(self.stripe_api_key):
            raise ConfigurationError(
                "STRIPE_API_KEY is a live key, and without authentication anyone can move real money; "
                "set SEATSAGA_AUTH=jwt, or use a test key."
            )
        return self

    def _check_times(self) -> None:
        bounds, hosts = self.database_bounds, self._hosts
        for name, seconds, times in (
            ("STATEMENT", bounds.statement_seconds, 1),
            ("CONNECT", bounds.connect_seconds, hosts),
        ):
            if seconds * times >= self.lease_seconds:
                each = f", for each of {times} hosts," if times > 1 else ""
                raise ConfigurationError(
                    f"SEATSAGA_DATABASE_{name}_SECONDS={seconds:g}{each} must be less than "
                    f"SEATSAGA_LEASE_SECONDS={self.lease_seconds:g}, after which others take our sagas over."
                )

    @property
    def database_bounds(self) -> Bounds:
        """As set, else derived from the lease: a hung statement ends before another replica may take its sagas over."""
        return Bounds(
            connections_max=self.database_connections_max,
            # All hosts may be tried before one answers, and the lease must still be renewed afterwards.
            connect_seconds=self.database_connect_seconds
            or min(CONNECT_SECONDS_MAX, self.lease_seconds / (self._hosts + 2)),
            statement_seconds=self.database_statement_seconds or min(STATEMENT_SECONDS_MAX, self.lease_seconds * 2 / 3),
            idle_transaction_seconds=self.lease_seconds * 2 / 3,
            transaction_seconds=self.lease_seconds,
        )

    @property
    def _hosts(self) -> int:
        """The number of hosts that may be tried for one connection."""
        urls = [_parsed(url) for url in (self.database_url, self.database_direct_url) if url is not None]
        return max(1 if self.is_embedded else len(hosts_of(url)) for url in urls)

    @property
    def direct_url(self) -> str:
        """The URL of the database itself, past a pooler: for users that need their own session, such as migrations."""
        return self.database_direct_url or self.database_url

    @property
    def log_folder(self) -> Path | None:
        """The folder of the log files; None if there are none."""
        return None if str(self.log_dir) == "-" else self.log_dir

    @property
    def log_secret(self) -> str | None:
        """The key that hashes callers in the log. It is the same on all replicas and after a restart if a secret is."""
        secret = self.log_salt or self.jwt_secret or self.admin_token
        return None if secret is None else secret.get_secret_value()

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign Stripe's events; none if no events are taken."""
        return _split_secrets(self.stripe_webhook_secret) if self.payments == "stripe" else ()

    @property
    def simulation_allowed(self) -> bool:
        """Whether requests may inject faults: as set, else only under auth `none`, where all callers are trusted."""
        return self.simulation == "on" if self.simulation is not None else self.auth == "none"

    @property
    def caller_limits(self) -> CallerLimits:
        """The limits of one caller: as set; else the defaults under `jwt`, or no limits under `none`."""
        return caller_limits(self, self.auth, hold_seconds=self.hold_seconds)

    @property
    def guard_limits(self) -> GuardLimits:
        """The limits of the guard before the payment provider: as set, or the defaults for this provider."""
        return guard_limits(self, is_sandbox=self.payments == "sandbox")

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a SQLite file, which only this process uses."""
        return self.database_url.startswith(DRIVERS[0])

    @property
    def data_dir(self) -> Path:
        """The folder of this installation's files: that of the SQLite database, else `data`."""
        if self.is_embedded:
            return Path(_parsed(self.database_url).database or "data/seatsaga.db").parent
        return Path("data")


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of `environment` (None: the process's), replaced by `overrides`, given by field name.

    Raises ConfigurationError. Its one line names the variable, its value unless it is a secret, and
    the valid values. An unknown SEATSAGA_ variable is refused: a mistyped name must not silently
    leave a default in force.
    """
    environment = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and not variable.startswith("SEATSAGA_TEST_"):
            name = variable.removeprefix(PREFIX).lower()
            if name not in Settings.model_fields or name in _FOREIGN:
                raise ConfigurationError(_unknown(variable))
            if value != "":
                given[name] = value
    for name, variable in _FOREIGN.items():
        if environment.get(variable):
            given[name] = environment[variable]
    given |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, given)) from None


def checked_base_path(path: str) -> str:
    """The path without a slash at its end; `/` is no path at all. Raises ValueError if it is no valid base path."""
    path = path.removesuffix("/")
    if path and (len(path) > _BASE_PATH_CHARACTERS_MAX or not _BASE_PATH.fullmatch(path)):
        raise ValueError("not a path")
    if path.split("/")[1:2] and path.split("/")[1] in OWN_PATHS:
        # Behind a proxy that strips it, /saga/test could be the page or the base path and an unknown page.
        raise ValueError("one of our own paths")
    return path


def is_loopback(host: str) -> bool:
    """Whether nothing outside this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _parsed(url: str) -> URL:
    try:
        return database_url(url)
    except UrlWordError:
        raise
    except ConfigurationError:
        raise ValueError("not a database URL") from None


def _is_live(key: SecretStr | None) -> bool:
    """Whether the key is a live key of Stripe: sk_live_..., rk_live_..."""
    return key is not None and "_live_" in key.get_secret_value()


def _split_secrets(secrets: SecretStr | None) -> tuple[str, ...]:
    return () if secrets is None else tuple(part.strip() for part in secrets.get_secret_value().split(","))


def _as_browsers_write(origin: str) -> str:
    """The origin in lower case, without its scheme's default port."""
    origin = origin.rstrip("/").lower()
    return origin.removesuffix(":443" if origin.startswith("https://") else ":80")


def _is_origin(text: str) -> bool:
    """Whether `text` is a scheme, a host and optionally a port, and nothing else."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    named = f"[{host}]" if ":" in host else host
    written = f"{parts.scheme}://{named}" if port is None else f"{parts.scheme}://{named}:{port}"
    return parts.scheme in ("http", "https") and bool(host) and "*" not in host and written == text


def _is_local(scheme: str, host: str) -> bool:
    return scheme == "http" and is_loopback(host)


def _unknown(variable: str) -> str:
    # Compared without the prefix, which would make any two names similar.
    name = variable.removeprefix(PREFIX).lower()
    near = [name] if name in _FOREIGN else difflib.get_close_matches(name, Settings.model_fields, n=1)
    known = ", ".join(sorted(_variable(name) for name in Settings.model_fields))
    hint = f"did you mean {_variable(near[0])}?" if near else f"known are {known}."
    return f"{_shown(variable)} is not a setting; {hint}"


def _explain(error: ValidationError, given: Mapping[str, Any]) -> str:
    name = str(error.errors()[0]["loc"][0])
    field = Settings.model_fields[name]
    is_secret = "SecretStr" in str(field.annotation)
    value = "" if is_secret else f"={_shown(str(given.get(name)))}"
    return f"{_variable(name)}{value} is not valid; expected: {field.description}."


def _shown(value: str) -> str:
    """The value in one line, without the password of a URL."""
    return escaped(_PASSWORDS.sub(r"\1\2***", value))


def _variable(name: str) -> str:
    return _FOREIGN.get(name, PREFIX + name.upper())
