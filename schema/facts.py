"""The facts of events as data: the actor, as far as the viewer may see it, and the effect."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from domain import actors
from domain import facts as domain_facts
from domain.facts import Facts, FlightSeats
from schema import ids
from schema.context import Viewer
from schema.enums import ActorRole, CabinClass, PaymentStatus, SeatReservationStatus
from schema.flights import Money
from schema.scalars import Instant

__all__ = ["Actor", "EventFacts", "facts_of"]


@strawberry.type(description="What became of the seats of a journey's first flight, and of those of its other flights.")
class SeatFacts:
    others: list[SeatFacts] = strawberry.field(
        description="The same of the journey's other flights, in travel order; their own `others` are empty."
    )
    flight_id: strawberry.ID = strawberry.field(description="The flight's id.")
    flight_number: str = strawberry.field(description="The flight's number.")
    seats: list[str] = strawberry.field(description="Row and letter, as printed on a boarding pass: 12C.")
    cabin_class: CabinClass = strawberry.field(description="The cabin that they are sold in.")
    status: SeatReservationStatus = strawberry.field(description="What became of them.")


@strawberry.type(description="How far the payment has come.")
class PaymentFacts:
    amount: Money = strawberry.field(description="What is paid.")
    status: PaymentStatus = strawberry.field(description="Where it stands at the provider.")
    provider_reference: str | None = strawberry.field(description="The provider's own id; null until it is known.")


@strawberry.type(description="How a loyalty account changed.")
class LoyaltyFacts:
    member_number: str = strawberry.field(description="The account.")
    points: int = strawberry.field(description="Change of the spendable balance.")
    pending_points: int = strawberry.field(description="Change of the pending miles.")


@strawberry.type(description="The booking that was made, or is being cancelled.")
class BookingFacts:
    reference: str = strawberry.field(description="Six characters, unambiguous capitals and digits: the PNR.")


@strawberry.type(description="How long the step waits.")
class WaitFacts:
    until: Instant = strawberry.field(description="When it continues at the latest: its next attempt is due then.")


EventFacts = Annotated[
    SeatFacts | PaymentFacts | LoyaltyFacts | BookingFacts | WaitFacts,
    strawberry.union("EventFacts", description="The content of an event as data."),
]


def facts_of(facts: Facts | None) -> EventFacts | None:
    """The domain's facts; None if there are none, or if they name a status that only a newer release has."""
    try:
        return None if facts is None else _told(facts)
    except ValueError:
        return None


def _told(facts: Facts) -> EventFacts | None:
    match facts:
        case domain_facts.SeatFacts(status, flights):
            # If `flights` is empty, the unpacking raises ValueError, too.
            first, *others = (_seats(flight, SeatReservationStatus(status)) for flight in flights)
            first.others = others
            return first
        case domain_facts.PaymentFacts(_, _, status, reference):
            return PaymentFacts(
                amount=Money.of(facts.amount), status=PaymentStatus(status), provider_reference=reference
            )
        case domain_facts.LoyaltyFacts(member):
            return LoyaltyFacts(member_number=member, points=facts.balance_change, pending_points=facts.pending_change)
        case domain_facts.BookingFacts(reference):
            return BookingFacts(reference=reference)
        case domain_facts.WaitFacts(until):
            return WaitFacts(until=Instant(until))
        case _:
            return None


def _seats(flight: FlightSeats, status: SeatReservationStatus) -> SeatFacts:
    return SeatFacts(
        others=[],
        flight_id=strawberry.ID(ids.encode("Flight", flight.flight_id)),
        flight_number=flight.number,
        seats=list(flight.seats),
        cabin_class=CabinClass(flight.cabin),
        status=status,
    )


@strawberry.type(
    description=(
        "Who did something. Operators see the subject; other callers see only the role, except for themselves."
    )
)
class Actor:
    role: ActorRole = strawberry.field(description="As what they acted.")
    subject: str | None = strawberry.field(
        description="As their token names them; null where no caller did it, or where it is not the viewer's to know."
    )

    @classmethod
    def of(cls, actor: actors.Actor, viewer: Viewer) -> Self:
        """The domain's actor, as far as `viewer` may see it."""
        may_know = actor.subject is not None and viewer.may_see(actor.subject)
        return cls(role=actor.role, subject=actor.subject if may_know else None)
