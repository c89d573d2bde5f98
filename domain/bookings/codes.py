"""The codes of refusals: one for each cause. A client chooses its words and its remedy by them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto
from typing import Final

__all__ = ["FACTS", "RefusalCode"]


class RefusalCode(StrEnum):
    """Why a request is refused. docs/api.md says for each what a client should do."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name

    # The request itself.
    AMOUNT_INVALID = auto()
    CARD_TOKEN_INVALID = auto()
    CARD_TOKEN_MISSING = auto()
    DATE_OF_BIRTH_IN_FUTURE = auto()
    DATE_OF_BIRTH_TOO_EARLY = auto()
    DELAY_OUT_OF_RANGE = auto()
    FILTER_EMPTY = auto()
    FLIGHT_NAMED_TWICE = auto()
    MEMBER_MISSING = auto()
    NAME_BLANK = auto()
    NAME_NOT_PRINTABLE = auto()
    NAME_TOO_LONG = auto()
    PACE_OUT_OF_RANGE = auto()
    PASSENGERS_OUT_OF_RANGE = auto()
    PAYMENT_AND_PAY_LATER = auto()
    POINTS_NEGATIVE = auto()
    REASON_INVALID = auto()
    SEAT_NAMED_TWICE = auto()
    SEAT_NOT_IN_CABIN = auto()
    SEAT_UNKNOWN = auto()
    SEATS_AND_PASSENGERS_DIFFER = auto()
    SEGMENTS_OUT_OF_RANGE = auto()
    STEP_LOSES_NO_ANSWER = auto()
    STEP_MISSING = auto()
    STEP_NOT_TAKEN = auto()
    # The journey, at its present prices.
    CURRENCIES_DIFFER = auto()
    CURRENCY_NOT_SOLD = auto()
    DEPARTS_BEFORE_ARRIVAL = auto()
    FLIGHT_CLOSED = auto()
    FLIGHT_DEPARTED = auto()
    FLIGHT_NOT_FOUND = auto()
    FLIGHTS_NOT_CONNECTED = auto()
    POINTS_NOT_PAYABLE = auto()
    POINTS_OVER_TOTAL = auto()
    PRICE_CHANGED = auto()
    # What is there already, and what this server or caller may do.
    BOOKING_BUSY = auto()
    BOOKING_NOT_CONFIRMED = auto()
    BOOKING_NOT_FOUND = auto()
    BOOKING_UNREADABLE = auto()
    BULK_ACTION_NOT_FOUND = auto()
    CORRELATION_ID_REUSED = auto()
    HOLD_EXPIRED = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    MATCHES_DIFFER = auto()
    MEMBER_NOT_FOUND = auto()
    NOTHING_TO_PAY = auto()
    NOTHING_TO_RETRY = auto()
    NOTHING_TO_SKIP = auto()
    NOTHING_TO_SETTLE = auto()
    PAYMENTS_UNAVAILABLE = auto()
    SAGA_NOT_FOUND = auto()
    SIMULATION_DISABLED = auto()
    TOO_LATE_TO_CANCEL = auto()
    TOO_MANY_HOLDS = auto()
    TOO_MANY_MATCHES = auto()


#: The values that the message of a code may contain, by name; no other message has any.
FACTS: Final[Mapping[RefusalCode, tuple[str, ...]]] = {
    RefusalCode.CARD_TOKEN_INVALID: ("min", "max"),
    RefusalCode.CURRENCY_NOT_SOLD: ("currency",),
    RefusalCode.DATE_OF_BIRTH_TOO_EARLY: ("max",),
    RefusalCode.DELAY_OUT_OF_RANGE: ("min", "max"),
    RefusalCode.DEPARTS_BEFORE_ARRIVAL: ("flight", "before"),
    RefusalCode.FLIGHT_CLOSED: ("flight", "closesAt", "departsAt"),
    RefusalCode.FLIGHT_DEPARTED: ("flight",),
    RefusalCode.FLIGHTS_NOT_CONNECTED: ("flight", "before", "origin", "destination"),
    RefusalCode.MATCHES_DIFFER: ("expected", "matched"),
    RefusalCode.NAME_TOO_LONG: ("max", "given"),
    RefusalCode.PACE_OUT_OF_RANGE: ("min", "max", "given"),
    RefusalCode.PASSENGERS_OUT_OF_RANGE: ("min", "max"),
    RefusalCode.POINTS_NOT_PAYABLE: ("currency",),
    RefusalCode.POINTS_OVER_TOTAL: ("amount", "currency", "max"),
    RefusalCode.PRICE_CHANGED: ("amount", "currency"),
    RefusalCode.REASON_INVALID: ("min", "max"),
    RefusalCode.SEATS_AND_PASSENGERS_DIFFER: ("passengers", "seats"),
    RefusalCode.SEAT_NAMED_TWICE: ("seat",),
    RefusalCode.SEAT_NOT_IN_CABIN: ("seat", "cabinClass"),
    RefusalCode.SEGMENTS_OUT_OF_RANGE: ("min", "max"),
    RefusalCode.STEP_LOSES_NO_ANSWER: ("step", "allowed"),
    RefusalCode.TOO_LATE_TO_CANCEL: ("reference",),
    RefusalCode.TOO_MANY_HOLDS: ("has", "limit", "wanted"),
    RefusalCode.TOO_MANY_MATCHES: ("max",),
}
