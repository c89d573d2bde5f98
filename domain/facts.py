"""The content of events, as data. Only `sentence` makes an event's message, from its facts.

Facts are stored with their event as compact JSON, tagged with their type. They use the features'
words but import none of their types, as the event log lies below the features: a status is the
text of the feature's own enum.
"""

from __future__ import annotations

from typing import Final

import msgspec

from domain.money import Money

__all__ = [
    "BookingFacts",
    "Facts",
    "FlightSeats",
    "LoyaltyFacts",
    "PaymentFacts",
    "SeatFacts",
    "WaitFacts",
    "decode",
    "encode",
]


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """The content of an event. A later field needs a default, as older events lack it."""

    @property
    def sentence(self) -> str | None:
        """The facts in one line for a person; None if the event's type and failure say everything."""
        return None


class FlightSeats(msgspec.Struct, frozen=True):
    """Seats on one flight, as printed on boarding passes; `cabin` is a CabinClass."""

    flight_id: int
    number: str
    cabin: str
    seats: tuple[str, ...]


class SeatFacts(Facts, frozen=True, tag="seats"):
    """The new state of a journey's seats, flight by flight in travel order; `status` is a SeatReservationStatus."""

    status: str
    flights: tuple[FlightSeats, ...]

    @property
    def numbers(self) -> list[str]:
        """The numbers of all the seats, in travel order."""
        return [number for flight in self.flights for number in flight.seats]

    @property
    def sentence(self) -> str:
        """seats 12C, 12D held; 2 seats released."""
        numbers = self.numbers
        noun = "seat" if len(numbers) == 1 else "seats"
        if self.status == "HELD":
            return f"{noun} {', '.join(numbers)} held"
        return f"{len(numbers)} {noun} {self.status.lower()}"


class PaymentFacts(Facts, frozen=True, tag="payment"):
    """The state of a payment. `minor` units of `currency`; `status` is a PaymentStatus."""

    minor: int
    currency: str
    status: str
    reference: str | None = None

    @property
    def amount(self) -> Money:
        """The amount paid."""
        return Money(self.minor, self.currency)

    @property
    def sentence(self) -> str:
        """118.00 USD authorized, pi_...; pi_... voided."""
        status = self.status.lower()
        if self.status == "AUTHORIZED":
            return f"{self.amount} {status}, {self.reference}"
        return f"{self.reference or self.amount} {status}"


class LoyaltyFacts(Facts, frozen=True, tag="loyalty"):
    """A change of an account: `miles` earned (+) or taken back (-), `points` redeemed (-) or returned (+).

    Miles are pending until the booking is confirmed; `posted`: these were posted already.
    """

    member: str
    miles: int = 0
    points: int = 0
    posted: bool = False

    @property
    def balance_change(self) -> int:
        """The change of the spendable balance."""
        return self.points + (self.miles if self.posted else 0)

    @property
    def pending_change(self) -> int:
        """The change of the pending miles."""
        return 0 if self.posted else self.miles

    @property
    def sentence(self) -> str:
        """1,240 miles; 1,240 miles reversed; 500 points redeemed; 500 points returned."""
        words = []
        if self.miles:
            words.append(f"{abs(self.miles):,} miles{' reversed' if self.miles < 0 else ''}")
        if self.points:
            words.append(f"{abs(self.points):,} points {'redeemed' if self.points < 0 else 'returned'}")
        return ", ".join(words) or "nothing changed"


class BookingFacts(Facts, frozen=True, tag="booking"):
    """The booking that was made or, if `status` is CANCELLING, is being cancelled; `status` is a BookingStatus."""

    reference: str
    status: str = "CONFIRMED"

    @property
    def sentence(self) -> str:
        """booking KDCPZH; booking KDCPZH is being cancelled."""
        return f"booking {self.reference}" + (" is being cancelled" if self.status == "CANCELLING" else "")


class WaitFacts(Facts, frozen=True, tag="wait"):
    """The end of the step's wait, in microseconds since the epoch: its next attempt is due then."""

    until: int


_Known = SeatFacts | PaymentFacts | LoyaltyFacts | BookingFacts | WaitFacts
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Known)


def encode(facts: Facts) -> str:
    """The facts as text for storage."""
    return _encoder.encode(facts).decode()


def decode(text: str | None) -> Facts | None:
    """The facts in `text`; None if there are none or this release cannot read them."""
    if text is None:
        return None
    try:
        facts: Facts = _decoder.decode(text)
        return facts
    except msgspec.DecodeError:
        return None
