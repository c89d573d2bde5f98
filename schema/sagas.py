"""Sagas, their events, the seats they claim and the bookings they make: these refer to one another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final, Self

import strawberry

from domain import actors as domain_actors
from domain import bookings as domain_bookings
from domain import events as domain_events
from domain import incidents as domain_incidents
from domain import operators as domain_operators
from domain import saga as domain_saga
from domain import seats as domain_seats
from domain.facts import Facts
from domain.payments import NeedsHolder
from schema import ids
from schema.arguments import checked
from schema.bulk_actions import BulkAction
from schema.context import RequestContext, RequestInfo, Scope
from schema.enums import (
    BookingStatus,
    CabinClass,
    CompensationName,
    EventType,
    OperatorActionKind,
    SagaDefinitionName,
    SagaStatus,
    SeatReservationStatus,
    StepName,
    named,
)
from schema.errors import bad_input, not_for_guests
from schema.facts import Actor, EventFacts, facts_of
from schema.flights import Flight, Money, Node, Seat
from schema.loaders import HIDDEN, HIDDEN_PASSENGER
from schema.pagination import (
    FIRST_DEFAULT,
    PAGE_ROWS_MAX,
    After,
    Before,
    Connection,
    First,
    Keyset,
    Last,
    Wanted,
    check_length,
    connection,
    instant_and_uuid,
    keyset_page,
)
from schema.payments import Payment
from schema.scalars import Day, Instant, Uuid
from schema.steps import Failure, SagaStep, StepQueue, instant

__all__ = [
    "OPERATOR_ACTIONS",
    "AtStake",
    "Booking",
    "BookingConnection",
    "CardConfirmationAwaited",
    "OperatorAction",
    "OperatorActionConnection",
    "Passenger",
    "PaymentAwaited",
    "Saga",
    "SagaConnection",
    "SagaEvent",
    "SeatReservation",
    "SeatReservationConnection",
    "Settlement",
    "load_flights",
    "load_saga",
]


@strawberry.type(description="Who flies.")
class Passenger:
    given_name: str = strawberry.field(
        description=f'As on the travel document; "{HIDDEN}" for guests, and operators without the scope people:read.'
    )
    family_name: str = strawberry.field(
        description=f'As on the travel document; "{HIDDEN}" for guests, and operators without the scope people:read.'
    )
    date_of_birth: Day | None = strawberry.field(
        description="Where it was given; null for guests, and operators without the scope people:read."
    )

    @classmethod
    def of(cls, passenger: domain_bookings.Passenger) -> Self:
        """The domain's passenger."""
        born = passenger.date_of_birth
        return cls(
            given_name=passenger.given_name,
            family_name=passenger.family_name,
            date_of_birth=None if born is None else Day(born),
        )


@strawberry.interface(description="What the customer is asked for.")
class Awaited:
    until: Instant = strawberry.field(
        description="The answer must arrive before this instant; then the seats are released."
    )
    last_failure: Failure | None = strawberry.field(description="Why the previous try failed; null for the first.")


@strawberry.type(description="A card is needed. Answer with payForHold; after a decline, with another card.")
class PaymentAwaited(Awaited):
    amount: Money = strawberry.field(description="What is to be paid, after points.")


@strawberry.type(
    description=("The bank asks the card's holder to confirm (3-D Secure). Afterwards call confirmCard, or just wait.")
)
class CardConfirmationAwaited(Awaited):
    client_secret: str | None = strawberry.field(
        description=(
            "For the provider's browser library (Stripe.js: handleNextAction); null if `url` is to be opened instead. "
            "Shown only to the caller who owns the saga."
        )
    )
    url: str | None = strawberry.field(
        description=(
            "A page of the bank or the sandbox to open for the customer; null if `clientSecret` is to be used. "
            "Shown only to the caller who owns the saga."
        )
    )


@strawberry.type(
    description=(
        "What a customer or the airline would lose if nobody did anything more. A saga that cancels a booking has that "
        "booking's."
    )
)
class AtStake:
    money: Money | None = strawberry.field(
        description="Taken or reserved, less what was refunded; also if the last call's answer was lost."
    )
    points: int = strawberry.field(
        description="Redeemed and not returned, and miles that were awarded and not taken back."
    )
    seats: int = strawberry.field(description="Held or booked for it. A hold that has lapsed is not counted.")

    @classmethod
    def of(cls, stake: domain_incidents.AtStake) -> Self:
        """The domain's stake."""
        money = None if stake.money is None else Money.of(stake.money)
        return cls(money=money, points=stake.points, seats=stake.seats)


@strawberry.type(description="How something that an ABANDONED saga left behind was settled by hand.")
class Settlement:
    done_by: strawberry.Private[domain_actors.Actor]
    at: Instant = strawberry.field(description="When it was recorded.")
    how: str = strawberry.field(description="What was done, in words.")

    @classmethod
    def of(cls, action: domain_operators.OperatorAction) -> Self:
        """The settlement that this entry records."""
        return cls(done_by=action.by, at=Instant(action.at), how=action.reason or "")

    @strawberry.field(description="Who recorded it.")
    def by(self, info: RequestInfo) -> Actor:
        return Actor.of(self.done_by, info.context.viewer)


@strawberry.type(description="One durable run.")
class Saga(Node):
    view: strawberry.Private[domain_saga.SagaView]
    correlation_id: Uuid = strawberry.field(description="What a client follows, and what makes its request idempotent.")
    definition: SagaDefinitionName = strawberry.field(description="Which saga it is.")
    definition_version: int = strawberry.field(description="The version of the definition that it runs under.")
    status: SagaStatus = strawberry.field(description="Where it stands.")
    sequence: int = strawberry.field(
        description="Number of the newest event; pass it to sagaEvents(after:) to go on from here."
    )
    started_at: Instant = strawberry.field(description="When it was accepted.")
    finished_at: Instant | None = strawberry.field(description="When it ended; null until then.")

    @classmethod
    def of(cls, view: domain_saga.SagaView) -> Self:
        """The domain's saga."""
        return cls(
            id=strawberry.ID(ids.encode("Saga", view.id)),
            view=view,
            correlation_id=Uuid(view.correlation_id),
            definition=named(SagaDefinitionName, view.definition),
            definition_version=view.version,
            status=view.status,
            sequence=view.sequence,
            started_at=Instant(view.started_at),
            finished_at=instant(view.finished_at),
        )

    @property
    def moment(self) -> tuple[str, int]:
        """The state that it shows: the saga as of one sequence."""
        return self.view.id, self.view.sequence

    @strawberry.field(description="Its steps, in order.")
    def steps(self) -> list[SagaStep]:
        return [SagaStep.of(step) for step in self.view.steps]

    @strawberry.field(description="Its queue as it stands.")
    def queue(self) -> StepQueue:
        return StepQueue.of(self.view.queue)

    @strawberry.field(description="Why it failed, or why it is PARKED; null unless it did or is.")
    def failure(self) -> Failure | None:
        return Failure.of(self.view.parked or self.view.failure)

    @strawberry.field(description="As asked for, in travel order; known from the start.")
    async def flights(self, info: RequestInfo) -> list[Flight]:
        journey = domain_bookings.itinerary(self.view)
        return await load_flights(info, journey.flight_ids) if journey is not None else []

    @strawberry.field(description="The loyalty member who earns or redeems with the booking; null if there is none.")
    async def member_number(self, info: RequestInfo) -> str | None:
        view: domain_saga.SagaView | None = self.view
        if self._booking_saga_id != self.view.id:
            view = await info.context.loaders.saga.load(self._booking_saga_id)
        journey = None if view is None else domain_bookings.itinerary(view)
        return None if journey is None else journey.member_number

    @property
    def _booking_saga_id(self) -> str:
        """The saga that holds passengers, seats and payment: itself, unless it cancels another's booking."""
        journey = domain_bookings.itinerary(self.view)
        return journey.booking_saga_id if journey is not None else self.view.id

    @strawberry.field(description="Who flies.")
    async def passengers(self, info: RequestInfo) -> list[Passenger]:
        found = await info.context.loaders.passengers.load(self._booking_saga_id)
        return [Passenger.of(person) for person in found or ()]

    @strawberry.field(description="The seats that it claims or has claimed.")
    async def reservations(self, info: RequestInfo) -> list[SeatReservation]:
        found = await info.context.loaders.reservations.load(self._booking_saga_id)
        return [SeatReservation.of(item) for item in found or ()]

    @strawberry.field(description="What is paid; null until there is something to pay.")
    async def payment(self, info: RequestInfo) -> Payment | None:
        payment = await info.context.loaders.payment_of_saga.load(self._booking_saga_id)
        return None if payment is None else Payment.of(payment)

    @strawberry.field(description="The booking that it made, or cancels.")
    async def booking(self, info: RequestInfo) -> Booking | None:
        booking = await info.context.loaders.booking_of_saga.load(self._booking_saga_id)
        return None if booking is None else Booking.of(booking)

    @strawberry.field(
        description=(
            "What a WAITING saga needs and until when. Null otherwise, and for callers who may not act for the "
            "customer."
        )
    )
    def awaiting(self, info: RequestInfo) -> Awaited | None:
        awaited = domain_bookings.awaited(self.view)
        if awaited is None:
            return None
        until, last_failure = Instant(awaited.until), Failure.of(awaited.last_failure)
        if isinstance(awaited, domain_bookings.PaymentAwaited):
            return PaymentAwaited(until=until, last_failure=last_failure, amount=Money.of(awaited.amount))
        # Its bearer can answer for the holder: no operator may have it.
        is_owner = info.context.viewer.subject == self.view.subject
        holder = awaited.confirmation if is_owner else NeedsHolder()
        return CardConfirmationAwaited(
            until=until,
            last_failure=last_failure,
            client_secret=holder.client_secret,
            url=info.context.address(holder.url),
        )

    @strawberry.field(description="When all seat holds of this saga expire; null if it holds none.")
    async def hold_expires_at(self, info: RequestInfo) -> Instant | None:
        found = await info.context.loaders.reservations.load(self._booking_saga_id)
        held = [item.expires_at for item in found or () if item.status is SeatReservationStatus.HELD]
        return Instant(min(held)) if held else None

    @strawberry.field(
        description=(
            "What a customer or the airline would lose if nobody did anything more: money taken or reserved, points, "
            "seats. Null if nothing."
        )
    )
    async def at_stake(self, info: RequestInfo) -> AtStake | None:
        stake = await info.context.loaders.at_stake.load(self.view.id)
        return None if stake is None else AtStake.of(stake)

    @strawberry.field(description="When it first got stuck since its last progress; null unless STUCK.")
    def stuck_since(self) -> Instant | None:
        return instant(self.view.stuck_since)

    @strawberry.field(
        description="How an operator settled what the saga left behind; null unless settled, and for other callers."
    )
    async def settlement(self, info: RequestInfo) -> Settlement | None:
        if not self.view.is_settled or not info.context.viewer.may(Scope.SAGAS_READ):
            return None
        found = await info.context.loaders.settlement.load(self.view.id)
        return None if found is None else Settlement.of(found)

    @strawberry.field(
        description="Operator: what operators did to this saga, newest first; null for callers without sagas:read."
    )
    async def operator_actions(
        self,
        info: RequestInfo,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> OperatorActionConnection | None:
        if not info.context.viewer.may(Scope.SAGAS_READ):
            return None
        query = domain_operators.ActionQuery(saga_id=self.view.id)
        return OperatorActionConnection(
            page=await keyset_page(info, OPERATOR_ACTIONS, query, Wanted(first, after, last, before))
        )

    @strawberry.field(
        description="History in order, from the event after `after`.",
        metadata=checked(lambda context, given: _check_events(context, given["after"], given["first"])),
    )
    async def events(
        self,
        info: RequestInfo,
        after: Annotated[int, strawberry.argument(description="A sequence; 0 for the beginning.")] = 0,
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = 100,
    ) -> list[SagaEvent]:
        limit = _check_events(info.context, after, first)
        found = await info.context.loaders.events(after, limit).load(self.view.id)
        return [SagaEvent.of(event) for event in found]


def _check_events(context: RequestContext, after: int, first: int) -> int:
    """How many events may be read. Raises BAD_USER_INPUT."""
    if after < 0:
        raise bad_input(f"after must not be negative; got {after}.", "after")
    return check_length(first, context.services.page_rows_max, default=PAGE_ROWS_MAX)


@connection("saga")
class SagaConnection(Connection[Saga]):
    pass


@strawberry.type(description="One entry of a saga's history.")
class SagaEvent(Node):
    saga_id: strawberry.Private[str]
    asked_by: strawberry.Private[domain_actors.Actor | None]
    told: strawberry.Private[Facts | None]
    correlation_id: Uuid = strawberry.field(description="The saga's.")
    sequence: int = strawberry.field(description="1, 2, 3, ... within one saga: no gap, no repeat.")
    type: EventType = strawberry.field(description="What happened.")
    step: StepName | None = strawberry.field(description="At which step; null where it is about the saga.")
    compensation: CompensationName | None = strawberry.field(description="Which compensation; null going forward.")
    attempt: int | None = strawberry.field(description="Of an attempt: its 1-based number.")
    message: str = strawberry.field(description="For a person.")
    failure: Failure | None = strawberry.field(description="Of a failure: why.")
    at: Instant = strawberry.field(description="When it was committed to happen.")

    @classmethod
    def of(cls, event: domain_events.SagaEvent) -> Self:
        """The domain's event."""
        return cls(
            id=strawberry.ID(ids.encode("SagaEvent", f"{event.saga_id}/{event.sequence}")),
            saga_id=event.saga_id,
            asked_by=event.actor,
            told=event.facts,
            correlation_id=Uuid(event.correlation_id),
            sequence=event.sequence,
            type=event.type,
            step=named(StepName, event.step) if event.step is not None else None,
            compensation=named(CompensationName, event.compensation) if event.compensation is not None else None,
            attempt=event.attempt,
            message=event.message,
            failure=Failure.of(event.failure),
            at=Instant(event.at),
        )

    @property
    def moment(self) -> tuple[str, int]:
        """Which event it is."""
        return self.saga_id, self.sequence

    @strawberry.field(
        description=(
            "The content of the message as data; null if the type says it all. Null also in events of releases "
            "before this field, and where only a newer release can read them."
        )
    )
    def facts(self) -> EventFacts | None:
        return facts_of(self.told)

    @strawberry.field(description="Who asked for it; null if nobody did.")
    def actor(self, info: RequestInfo) -> Actor | None:
        return None if self.asked_by is None else Actor.of(self.asked_by, info.context.viewer)

    @strawberry.field(description="The saga as it stands when the event is delivered.")
    async def saga(self, info: RequestInfo) -> Saga:
        return await load_saga(info, self.saga_id)


@strawberry.type(description="A saga that has changed.")
class SagaChange:
    saga_id: strawberry.Private[str]
    matches: bool = strawberry.field(description="Whether the filter selects the saga now.")

    @strawberry.field(description="The saga as it stands.")
    async def saga(self, info: RequestInfo) -> Saga:
        return await load_saga(info, self.saga_id)


@strawberry.type(description="The claim of one passenger on one seat.")
class SeatReservation(Node):
    view: strawberry.Private[domain_seats.SeatReservation]
    correlation_id: Uuid = strawberry.field(description="Of the saga that claims it.")
    cabin_class: CabinClass = strawberry.field(description="The cabin that it is sold in.")
    status: SeatReservationStatus = strawberry.field(description="What became of it.")
    held_at: Instant = strawberry.field(description="When the seat was held.")
    expires_at: Instant = strawberry.field(description="When the hold lapses; never extended.")

    @classmethod
    def of(cls, view: domain_seats.SeatReservation) -> Self:
        """The domain's reservation."""
        return cls(
            id=strawberry.ID(ids.encode("SeatReservation", view.id)),
            view=view,
            correlation_id=Uuid(view.correlation_id),
            cabin_class=view.cabin,
            status=view.status,
            held_at=Instant(view.held_at),
            expires_at=Instant(view.expires_at),
        )

    @strawberry.field(description="The flight.")
    async def flight(self, info: RequestInfo) -> Flight:
        return (await load_flights(info, [self.view.flight_id]))[0]

    @strawberry.field(description="The seat as it stands.")
    async def seat(self, info: RequestInfo) -> Seat:
        return await _seat(info, self.view.key)

    @strawberry.field(description="Who is to sit there.")
    async def passenger(self, info: RequestInfo) -> Passenger:
        people = await info.context.loaders.passengers.load(self.view.saga_id) or ()
        return Passenger.of(people[self.view.passenger])


@connection("reservation")
class SeatReservationConnection(Connection[SeatReservation]):
    pass


@strawberry.type(description="A passenger's seat.")
class BookedSeat:
    passenger: Passenger = strawberry.field(description="Who sits there.")
    seat: Seat = strawberry.field(description="Where.")


@strawberry.type(description="One flight of a booking.")
class BookingSegment:
    flight: Flight = strawberry.field(description="The flight.")
    cabin_class: CabinClass = strawberry.field(description="The cabin.")
    seats: list[BookedSeat] = strawberry.field(description="One a passenger, in their order.")


@strawberry.type(description="A confirmed journey.")
class Booking(Node):
    view: strawberry.Private[domain_bookings.Booking]
    reference: str = strawberry.field(description="Six characters, unambiguous capitals and digits: the PNR.")
    status: BookingStatus = strawberry.field(description="Where it stands.")
    created_at: Instant = strawberry.field(description="When it was confirmed.")
    for_guest: strawberry.Private[bool] = False

    @classmethod
    def of(cls, view: domain_bookings.Booking, *, for_guest: bool = False) -> Self:
        """The domain's booking; `for_guest`: without personal and payment details."""
        return cls(
            id=strawberry.ID(ids.encode("Booking", view.id)),
            view=view,
            reference=view.reference,
            status=view.status,
            created_at=Instant(view.created_at),
            for_guest=for_guest,
        )

    @strawberry.field(description="What it costs, before points. Not for guests.")
    def total(self, info: RequestInfo) -> Money:
        self._refuse_guests(info)
        return Money.of(self.view.total)

    @strawberry.field(description="Miles that the member earned with it. Not for guests.")
    def miles_awarded(self, info: RequestInfo) -> int:
        self._refuse_guests(info)
        return self.view.miles_awarded

    @strawberry.field(description="Points that paid for a part of it. Not for guests.")
    def points_redeemed(self, info: RequestInfo) -> int:
        self._refuse_guests(info)
        return self.view.points_redeemed

    def _refuse_guests(self, info: RequestInfo) -> None:
        if self.for_guest:
            raise not_for_guests(info.field_name)

    @strawberry.field(description="Who flies, in the order of the request.")
    async def passengers(self, info: RequestInfo) -> list[Passenger]:
        return [Passenger.of(person) for person in await self._people(info)]

    async def _people(self, info: RequestInfo) -> Sequence[domain_bookings.Passenger]:
        people = await info.context.loaders.passengers.load(self.view.saga_id) or ()
        return [HIDDEN_PASSENGER] * len(people) if self.for_guest else people

    @strawberry.field(description="Its flights in travel order, with the seats.")
    async def segments(self, info: RequestInfo) -> list[BookingSegment]:
        reservations = await info.context.loaders.reservations.load(self.view.saga_id) or ()
        people = await self._people(info)
        by_segment: dict[int, list[domain_seats.SeatReservation]] = {}
        for item in reservations:
            by_segment.setdefault(item.segment, []).append(item)
        flights = await load_flights(info, [items[0].flight_id for items in by_segment.values()])
        keys = [item.key for item in reservations]
        seats = dict(zip(keys, await asyncio.gather(*(_seat(info, key) for key in keys)), strict=True))
        return [
            BookingSegment(
                flight=flight,
                cabin_class=items[0].cabin,
                seats=[
                    BookedSeat(passenger=Passenger.of(people[item.passenger]), seat=seats[item.key]) for item in items
                ],
            )
            for flight, items in zip(flights, by_segment.values(), strict=True)
        ]

    @strawberry.field(description="What was paid; null where points paid for all of it. Null for guests.")
    async def payment(self, info: RequestInfo) -> Payment | None:
        if self.for_guest:
            return None
        payment = await info.context.loaders.payment_of_saga.load(self.view.saga_id)
        return None if payment is None else Payment.of(payment)

    @strawberry.field(description="The saga that made it. Not for guests.")
    async def saga(self, info: RequestInfo) -> Saga:
        self._refuse_guests(info)
        return await load_saga(info, self.view.saga_id)

    @strawberry.field(description="The CANCEL_BOOKING saga, where there is one. Null for guests.")
    async def cancellation(self, info: RequestInfo) -> Saga | None:
        if self.for_guest or self.view.cancellation_id is None:
            return None
        return await load_saga(info, self.view.cancellation_id)


@connection("booking")
class BookingConnection(Connection[Booking]):
    pass


@strawberry.type(description="One entry of the append-only record: who did what, when and why.")
class OperatorAction(Node):
    view: strawberry.Private[domain_operators.OperatorAction]
    at: Instant = strawberry.field(description="When, by the database's clock.")
    kind: OperatorActionKind = strawberry.field(description="What was done.")
    reason: str | None = strawberry.field(description="Why, where that was said.")
    job: str | None = strawberry.field(description="Of an action on a job: its id.")
    request_id: str | None = strawberry.field(description="The X-Request-ID of the request; null for a command.")
    before: str | None = strawberry.field(description="The state before and after, one line each. This: before.")
    after: str | None = strawberry.field(description="As before, but how the saga or the job stood then.")

    @classmethod
    def of(cls, view: domain_operators.OperatorAction) -> Self:
        """The domain's entry."""
        return cls(
            id=strawberry.ID(ids.encode("OperatorAction", view.id)),
            view=view,
            at=Instant(view.at),
            kind=named(OperatorActionKind, view.kind),
            reason=view.reason,
            job=view.job_id,
            request_id=view.request_id,
            before=view.before,
            after=view.after,
        )

    @strawberry.field(description="Who did it.")
    def by(self, info: RequestInfo) -> Actor:
        return Actor.of(self.view.by, info.context.viewer)

    @strawberry.field(description="The bulk action that was started or stopped, or that did this to the saga.")
    async def bulk_action(self, info: RequestInfo) -> BulkAction | None:
        key = self.view.bulk_action_id
        found = None if key is None else await info.context.loaders.bulk_action.load(key)
        return None if found is None else BulkAction.of(found)

    @strawberry.field(description="Of an action on a saga: the saga as it stands now.")
    async def saga(self, info: RequestInfo) -> Saga | None:
        return None if self.view.saga_id is None else await load_saga(info, self.view.saga_id)


@connection("entry", page="A page of what operators did.")
class OperatorActionConnection(Connection[OperatorAction]):
    pass


OPERATOR_ACTIONS: Final = Keyset(
    "operator-actions",
    lambda row: f"{row.at}/{row.id}",
    instant_and_uuid,
    domain_operators.page_actions,
    domain_operators.count_actions,
)


async def load_saga(info: RequestInfo, saga_id: str) -> Saga:
    """A saga that is known to exist."""
    view = await info.context.loaders.saga.load(saga_id)
    if view is None:
        raise LookupError(f"saga {saga_id} is gone")
    return Saga.of(view)


async def load_flights(info: RequestInfo, flight_ids: Sequence[int]) -> list[Flight]:
    """Flights that are known to exist, in order."""
    found = await info.context.loaders.flight.load_many(flight_ids)
    if None in found:
        raise LookupError(f"a flight of {list(flight_ids)} is gone")
    return [Flight.of(flight) for flight in found if flight is not None]


async def _seat(info: RequestInfo, key: domain_seats.SeatKey) -> Seat:
    seat = await info.context.loaders.seat.load(key)
    if seat is None:
        raise LookupError(f"seat {key.number} of flight {key.flight_id} is gone")
    return Seat.of(seat)
