"""The API's objects as the library sends and returns them: dictionaries with the API's own names.

The server may add values to each enum, so they are strings here. Ask for more fields by `fields`.
"""

from __future__ import annotations

from typing import Any, Final, NotRequired, TypedDict

__all__ = ["EVENT_FIELDS", "OVER", "SAGA_FIELDS", "BookFlight", "Passenger", "Saga", "SagaEvent", "Segment"]

#: The statuses in which nothing more will happen.
OVER: Final = frozenset({"COMPLETED", "COMPENSATED", "ABANDONED"})

EVENT_FIELDS: Final = "correlationId step compensation attempt message at failure { code message }"
SAGA_FIELDS: Final = """failure { code message step } booking { reference }
  payment { status amount { amount currency } } reservations { status seat { number } flight { number } }
  awaiting { __typename until lastFailure { code message }
    ... on PaymentAwaited { amount { amount currency } } ... on CardConfirmationAwaited { url clientSecret } }"""


class Segment(TypedDict):
    """One flight of the journey. `seats`: one number a passenger; left out, the server chooses."""

    flightId: str
    cabinClass: NotRequired[str]
    seats: NotRequired[list[str] | None]


class Passenger(TypedDict):
    """A person who flies. `dateOfBirth`: YYYY-MM-DD."""

    givenName: str
    familyName: str
    dateOfBirth: NotRequired[str | None]


class BookFlight(TypedDict):
    """What is booked: the API's BookFlightInput. The library adds a `correlationId` if there is none."""

    segments: list[Segment]
    passengers: list[Passenger]
    correlationId: NotRequired[str]
    payment: NotRequired[dict[str, Any] | None]
    loyalty: NotRequired[dict[str, Any] | None]
    payLater: NotRequired[bool]
    expectedTotal: NotRequired[dict[str, str] | None]
    simulate: NotRequired[dict[str, Any] | None]


class Saga(TypedDict):
    """A booking on its way. `sequence`: of its newest event. `awaiting`: what a WAITING saga needs, and until when."""

    correlationId: str
    status: str
    sequence: int
    failure: dict[str, Any] | None
    booking: dict[str, Any] | None
    payment: dict[str, Any] | None
    reservations: list[dict[str, Any]]
    awaiting: dict[str, Any] | None


class SagaEvent(TypedDict):
    """Something that happened to a saga. Its events are numbered 1, 2, 3, ... by `sequence`."""

    correlationId: str
    sequence: int
    type: str
    step: str | None
    compensation: str | None
    attempt: int | None
    message: str
    at: str
    failure: dict[str, Any] | None
