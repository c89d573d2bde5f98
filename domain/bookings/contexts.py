"""The data that the steps of a saga share: typed, stored as JSON on the saga's row."""

from __future__ import annotations

import msgspec

from domain.money import CURRENCY_DEFAULT
from domain.payments import NeedsHolder
from domain.seats import CabinClass

__all__ = [
    "BookingContext",
    "CancellationContext",
    "InventoryLimits",
    "PassengerRecord",
    "SegmentContext",
]


class SegmentContext(msgspec.Struct, omit_defaults=True):
    """One flight of the journey; `seats` are chosen seat indexes, one a passenger, or None for any."""

    flight_id: int
    number: str
    cabin: CabinClass
    seats: tuple[int, ...] | None = None


class PassengerRecord(msgspec.Struct, omit_defaults=True):
    """A passenger, on the way from the request to the passengers table; not kept in the context."""

    given_name: str
    family_name: str
    date_of_birth: str | None = None


class InventoryLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits of one caller; a field is None if there is no such limit.

    `holds`: seats of a flight held at once. `cabin_percent`: the share of a cabin's seats (percent) that may be held at
    once.
    `seats`: seats of a flight that are held or bought; a cancelled booking counts until `cancelled_seconds` after it
    was made. `failures`: the number of bookings that may fail within an hour before the next ones have to wait, at most
    `wait_seconds_max`. `hold_seconds` is the length of a hold.
    """

    holds: int | None = None
    cabin_percent: int | None = None
    seats: int | None = None
    cancelled_seconds: int = 86_400
    failures: int | None = None
    wait_seconds_max: int = 900
    hold_seconds: int = 900

    @property
    def is_any(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for limit in (self.holds, self.cabin_percent, self.seats, self.failures))


class BookingContext(msgspec.Struct, omit_defaults=True):
    """A journey being booked. Amounts in minor units; `payable` is `total` less the points.

    `new_passengers` is written to its own table when the saga starts, and then emptied. `token` is the card's; it is
    kept until the money is authorized, its holder is asked or the saga turns round. `authorized`: the provider has
    confirmed the authorization; an answer lost later does not change that. `limits` are the caller's, None without
    limits; they are checked when the saga starts, and then emptied. `is_counted`: the saga's purchase counts against
    its caller's limit. `pays_later`: the card comes while the saga waits, and another may follow a declined one.
    `confirmation`: where the card's holder answers the bank, while the saga waits for that. `holder_was_asked`: the
    customer has had the payment's secret, and may pay with it at the provider until the payment is voided. `declines`:
    the number of cards that were refused while the saga waited for its card; `declined_at`: when the last of them was
    (microseconds).
    """

    subject: str
    segments: tuple[SegmentContext, ...]
    passengers: int
    total: int
    payable: int
    currency: str = CURRENCY_DEFAULT
    member: str | None = None
    miles: int = 0
    points: int = 0
    token: str | None = None
    payment_reference: str | None = None
    authorized: bool = False
    booking_reference: str | None = None
    new_passengers: tuple[PassengerRecord, ...] = ()
    limits: InventoryLimits | None = None
    is_counted: bool = False
    pays_later: bool = False
    confirmation: NeedsHolder | None = None
    holder_was_asked: bool = False
    declines: int = 0
    declined_at: int = 0

    def forget_card(self) -> None:
        """Forget the card: no more money will be authorized with it."""
        self.token = self.confirmation = None


class CancellationContext(msgspec.Struct, omit_defaults=True):
    """A confirmed booking being cancelled, with the data of it that the steps need."""

    booking_id: str
    booking_saga_id: str
    reference: str
    flight_ids: tuple[int, ...]
    payment_reference: str | None = None
    by: str = ""
