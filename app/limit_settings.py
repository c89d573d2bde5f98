"""The limits among the settings, each with its valid range.

Limits per caller are off by default under auth `none`, where all clients are one caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.bookings import InventoryLimits
from domain.guard import GuardLimits

__all__ = ["MEBIBYTE", "SANDBOX_CALLS_DEFAULT", "CallerLimits", "LimitSettings", "caller_limits", "guard_limits"]

MEBIBYTE: Final = 1_048_576
#: The defaults under auth `jwt`: two parties of nine on one flight, a booking a second, some browser tabs.
HOLDS_DEFAULT: Final = 18
#: The largest party fits into the smallest cabin: 9 of 12 seats.
CABIN_PERCENT_DEFAULT: Final = 75
#: A quarter of the economy seats.
SEATS_DEFAULT: Final = 36
#: A person may mistype a card and try another. The sixth attempt must wait.
FAILURES_DEFAULT: Final = 5
MUTATIONS_PER_MINUTE_DEFAULT: Final = 60
#: Some seconds of one processor core.
COST_PER_MINUTE_DEFAULT: Final = 2_500_000
SUBSCRIPTIONS_DEFAULT: Final = 200
SOCKETS_DEFAULT: Final = 100
PROVIDER_CALLS_DEFAULT: Final = 64
#: As many as sagas may be in flight: nobody stands in line. The sandbox commits all calls of a turn together, so
#: fewer at once would only make its commits smaller. With 256 a booking cost a quarter more processor time under load.
SANDBOX_CALLS_DEFAULT: Final = 10_000


class LimitSettings(BaseModel):
    """The settings that limit requests, stored data and concurrency. docs/settings.md explains each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document_depth_max: int = Field(15, description="how many levels a document may have, 1 to 100", ge=1, le=100)
    document_aliases_max: int = Field(30, description="how many aliases a document may have, 0 to 1000", ge=0, le=1000)
    document_tokens_max: int = Field(
        2_000, description="how many tokens a document may have, 10 to 100000", ge=10, le=100_000
    )
    document_characters_max: int = Field(
        65_536, description="how many characters a document may have, 100 to 67108864", ge=100, le=64 * MEBIBYTE
    )
    variables_values_max: int = Field(
        2_000, description="how many values variables may hold, 1 to 1000000", ge=1, le=10**6
    )
    document_cost_max: int = Field(
        250_000, description="how many points an operation may cost, 1 to 10000000", ge=1, le=10_000_000
    )
    answer_bytes_max: int = Field(
        4 * MEBIBYTE, description="how many bytes an answer may have, 1024 to 67108864", ge=1_024, le=64 * MEBIBYTE
    )
    cost_per_minute_max: int | None = Field(
        None,
        description="how many points one caller's operations may cost a minute, 1 to 1000000000, or 0 for any number",
        ge=0,
        le=10**9,
    )
    page_rows_max: int = Field(100, description="how many rows a page may have, 1 to 100", ge=1, le=100)
    body_bytes_max: int = Field(
        MEBIBYTE, description="how many bytes a body may have, 1024 to 67108864", ge=1_024, le=64 * MEBIBYTE
    )
    frame_bytes_max: int = Field(
        MEBIBYTE,
        description="how many bytes a frame of a socket may have, 1024 to 67108864",
        ge=1_024,
        le=64 * MEBIBYTE,
    )
    requests_active_max: int = Field(
        10_000, description="how many requests, streams and sockets may be served at once, 1 or more", ge=1
    )
    socket_init_seconds: float = Field(
        10.0, description="0.1 to 300 seconds in which a socket must send connection_init", ge=0.1, le=300
    )
    socket_init_bytes_max: int = Field(
        4_096, description="how many bytes a message before connection_ack may have, 1024 to 65536", ge=1_024, le=65_536
    )
    socket_idle_seconds: float = Field(
        300.0, description="0.1 to 86400 seconds for which a socket without an operation is kept", ge=0.1, le=86_400
    )
    sockets_opening_max: int = Field(
        1_000, description="how many sockets may be without connection_ack, 1 to 1000000", ge=1, le=10**6
    )
    sockets_per_caller_max: int | None = Field(
        None, description="how many sockets one caller may have, 1 to 1000000, or 0 for any number", ge=0, le=10**6
    )
    connections_idle_max: int = Field(
        5_000, description="how many connections may be open without a request, 1 to 1000000", ge=1, le=10**6
    )
    socket_operations_max: int = Field(
        100, description="how many operations may run on one socket, 1 to 10000", ge=1, le=10_000
    )
    subscriptions_per_caller_max: int | None = Field(
        None,
        description="how many subscriptions one caller may have, 1 to 1000000, or 0 for any number",
        ge=0,
        le=10**6,
    )
    mutations_per_minute_max: int | None = Field(
        None,
        description="how many mutations one caller may send a minute, 1 to 1000000, or 0 for any number",
        ge=0,
        le=10**6,
    )
    mutations_burst_max: int = Field(
        30, description="how many mutations one caller may send at once, 1 to 100000", ge=1, le=100_000
    )
    guest_lookups_per_minute_max: int = Field(
        10, description="how many bookings guests at one address may look up a minute, 1 to 1000000", ge=1, le=10**6
    )
    holds_per_caller_max: int | None = Field(
        None, description="how many seats of a flight one caller may hold, 1 to 162, or 0 for any number", ge=0, le=162
    )
    cabin_percent_per_caller_max: int | None = Field(
        None,
        description="how many of a cabin's seats in a hundred one caller may hold, 1 to 100, or 0 for all",
        ge=0,
        le=100,
    )
    seats_per_caller_max: int | None = Field(
        None, description="how many seats of a flight one caller may buy, 1 to 162, or 0 for any number", ge=0, le=162
    )
    cancelled_seats_minutes: int = Field(
        1_440, description="for how many minutes cancelled seats count as bought, 0 to 10080", ge=0, le=10_080
    )
    failures_per_caller_max: int | None = Field(
        None,
        description="how many bookings of one caller may fail before the next wait, 1 to 1000, or 0 for any number",
        ge=0,
        le=1_000,
    )
    failure_wait_seconds_max: int = Field(
        900, description="how long the next bookings wait at most, 1 to 3600 seconds", ge=1, le=3_600
    )
    provider_calls_max: int | None = Field(
        None, description="how many calls to the payment provider may be out at once, 1 to 10000", ge=1, le=10_000
    )
    provider_calls_per_second: float | None = Field(
        None, description="how many requests a second may go to the payment provider, 0.1 to 10000", ge=0.1, le=10_000
    )
    sagas_active_max: int = Field(10_000, description="how many sagas may be in flight, 1 or more", ge=1)


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """The limits of one caller; None: no limit. Operators have no limits."""

    mutations_per_minute: int | None
    mutations_burst: int
    inventory: InventoryLimits
    subscriptions: int | None
    sockets: int | None
    cost_per_minute: int | None


def caller_limits(settings: LimitSettings, auth: Literal["none", "jwt"], *, hold_seconds: int) -> CallerLimits:
    """The limits of a caller as set, else the defaults under `auth`."""

    def of(given: int | None, default: int) -> int | None:
        if given is None:
            return default if auth == "jwt" else None
        return given or None

    return CallerLimits(
        mutations_per_minute=of(settings.mutations_per_minute_max, MUTATIONS_PER_MINUTE_DEFAULT),
        mutations_burst=settings.mutations_burst_max,
        inventory=InventoryLimits(
            holds=of(settings.holds_per_caller_max, HOLDS_DEFAULT),
            cabin_percent=of(settings.cabin_percent_per_caller_max, CABIN_PERCENT_DEFAULT),
            seats=of(settings.seats_per_caller_max, SEATS_DEFAULT),
            cancelled_seconds=settings.cancelled_seats_minutes * 60,
            failures=of(settings.failures_per_caller_max, FAILURES_DEFAULT),
            wait_seconds_max=settings.failure_wait_seconds_max,
            hold_seconds=hold_seconds,
        ),
        subscriptions=of(settings.subscriptions_per_caller_max, SUBSCRIPTIONS_DEFAULT),
        sockets=of(settings.sockets_per_caller_max, SOCKETS_DEFAULT),
        cost_per_minute=of(settings.cost_per_minute_max, COST_PER_MINUTE_DEFAULT),
    )


def guard_limits(settings: LimitSettings, *, is_sandbox: bool) -> GuardLimits:
    """The limits of the guard before the payment provider.

    Those that are set are for all replicas together. The sandbox's own default is for each of them, as nobody needs to
    be spared there. Only a real provider has a limit of its own, which the guard learns if none is set.
    """
    if is_sandbox and settings.provider_calls_max is None:
        return GuardLimits(SANDBOX_CALLS_DEFAULT, settings.provider_calls_per_second, is_shared=False)
    return GuardLimits(
        settings.provider_calls_max or PROVIDER_CALLS_DEFAULT,
        settings.provider_calls_per_second,
        learns_rate=not is_sandbox,
    )
