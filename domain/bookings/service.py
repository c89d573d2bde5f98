"""The operations on bookings: book, pay, cancel, retry, skip, sweep. Each returns one value."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import flights, loyalty, payments, saga
from domain.actors import REASON_FACTS, Actor, ActorRole, Asked, reason_fault
from domain.bookings import expiry, records
from domain.bookings.awaiting import CARD_CONFIRMATION, PAYMENT, REFUND
from domain.bookings.caller_limits import TooManyFailed, TooManyHeld
from domain.bookings.codes import RefusalCode
from domain.bookings.contexts import (
    BookingContext,
    CancellationContext,
    InventoryLimits,
    PassengerRecord,
    SegmentContext,
)
from domain.bookings.definitions import BookingDefinitions
from domain.bookings.fingerprint import fingerprint
from domain.bookings.guests import written_reference
from domain.bookings.itinerary import itinerary
from domain.bookings.model import (
    BookFlight,
    Booking,
    BookingNotCancellable,
    BookingNotFound,
    BookingStatus,
    CorrelationIdTaken,
    InvalidInput,
    LimitExceeded,
    MemberNotFound,
    NothingToPay,
    NothingToRetry,
    NothingToSettle,
    PaymentsUnavailable,
    Refusal,
    SagaNotFound,
    TooLateToCancel,
    TooLateToPay,
    TooManyHolds,
)
from domain.bookings.validation import (
    check_allowed,
    check_journey,
    check_shape,
    check_simulation,
    check_token,
    total_of,
)
from domain.flights import Flight
from domain.money import POINT_MINOR_UNITS
from domain.operators import Entry, OperatorActionKind
from domain.payments import Payment, PaymentStatus
from domain.saga import (
    CorrelationIdReused,
    KnownStart,
    Overloaded,
    SagaDefinition,
    SagaEngine,
    SagaView,
    Simulation,
    Started,
    StartRefused,
    StartRequest,
)
from domain.seats import seat_index
from domain.storage import SharedRead

__all__ = ["Bookings"]

LOOKS_MAX: Final = 5
GATE_LOOKS_MAX: Final = 40
LOOK_SECONDS: Final = 0.05
UNLIMITED: Final = InventoryLimits()


@dataclass(frozen=True, slots=True)
class _Ask:
    """The facts needed to check a request to book."""

    correlation_id: str
    flight_ids: tuple[int, ...]
    member_number: str | None


@dataclass(frozen=True, slots=True)
class _Scene:
    """The state at the moment of the request. `flights` may hold those of other requests too."""

    known: KnownStart | None
    flights: Mapping[int, Flight]
    has_member: bool
    now: int


class Bookings:
    """The bookings of one replica.

    `default_token` is the card token that the payment provider assumes, None if it assumes none.
    `limits` are the limits of one caller. `payments_unavailable` says after how many seconds a payment may be
    tried again, if none can be made now. `subject` is the caller; None, where allowed, is an operator,
    who may see all.
    """

    def __init__(
        self,
        engine: SagaEngine,
        definitions: BookingDefinitions,
        *,
        simulation_allowed: bool,
        default_token: str | None,
        limits: InventoryLimits = UNLIMITED,
        payments_unavailable: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._database = engine.database
        self._definitions = definitions
        self._simulation_allowed = simulation_allowed
        self._default_token = default_token
        self._limits = limits
        self._payments_unavailable = payments_unavailable
        self._scenes = SharedRead(engine.database, self._look_around)

    @property
    def definitions(self) -> list[tuple[SagaDefinition, bool]]:
        """Every definition and version that this process can run, and whether new sagas start with it."""
        current = {(item.name, item.version) for item in self._definitions.current}
        return [(item, key in current) for key, item in self._engine.definitions.items()]

    # ------------------------------------------------------------------ book

    async def book(
        self,
        request: BookFlight,
        *,
        may_use_member: bool = True,
        is_limited: bool = True,
        by: Actor | None = None,
        sees_only: str | None = None,
        asked: Asked | None = None,
    ) -> SagaView | tuple[Refusal, ...]:
        """Start BOOK_AND_EARN, or BOOK_AND_REDEEM if points are redeemed; durable when this returns.

        Guarantee: the same request under the same correlation ID finds the saga that it started, at
        any later time, before any check that depends on state, price, time, load or the provider; a different request
        under that ID is refused and changes nothing. The limits of a caller hold for any number of
        simultaneous starts, on any number of replicas: on seats, and on how often a caller whose
        bookings keep failing may try. Without `may_use_member` the member belongs to someone else and is
        answered as unknown. Without `is_limited` the caller has no limits.
        `by`: the actor, if it is not the request's subject as a customer. `sees_only`: only a saga of this subject is
        found again; None: anybody's, if an operator asks. `asked`: an operator who uses the loyalty account of somebody
        else, for the record.
        """
        faults = check_shape(request, self._definitions.losable_steps)
        if faults:
            return tuple(faults)
        correlation_id = request.correlation_id or str(uuid.uuid4())
        digest = fingerprint("bookFlight", _as_asked(request))
        scene = await self._scenes(_Ask(correlation_id, _flight_ids(request), request.member_number))
        if scene.known is not None:
            # An operator may see all; and the subject of an admin token changes with the token.
            is_operators = by is not None and by.role is ActorRole.OPERATOR
            owner = sees_only if is_operators else request.subject
            return await self._known(scene.known.recognise(owner, digest))
        context = self._judge(request, scene, may_use_member=may_use_member)
        if not isinstance(context, BookingContext):
            return context
        seconds = self._payments_unavailable()
        if seconds is not None and context.payable > 0 and not context.pays_later:
            message = "No payment can be made just now, so no seat was held; use payLater to hold seats, or try again."
            return (PaymentsUnavailable(message, ("payment",), RefusalCode.PAYMENTS_UNAVAILABLE, seconds),)
        definition = self._definitions.book_and_redeem if context.points else self._definitions.book_and_earn
        labels = [f"flight:{segment.flight_id}" for segment in context.segments]
        if context.member:
            labels.append(f"member:{context.member}")
        if is_limited and self._limits.is_any:
            context.limits = self._limits
            context.is_counted = self._limits.seats is not None
        start = StartRequest(
            definition,
            correlation_id,
            request.subject,
            digest,
            context,
            tuple(labels),
            request.simulation,
            by,
            _entry(asked, OperatorActionKind.BOOK_FLIGHT, f"member {context.member}", "booking begun"),
        )
        for _ in range(GATE_LOOKS_MAX):
            answer = await self._start(start)
            if isinstance(answer, SagaView) or answer:
                return answer
            # Another replica is starting sagas of this caller; their number is known once it has committed.
            await asyncio.sleep(LOOK_SECONDS)
        message = "Other bookings of yours are being started; try again in a second."
        return (LimitExceeded(message, 1, 1),)

    async def _look_around(self, connection: AsyncConnection, asks: Sequence[_Ask]) -> list[_Scene]:
        """The facts for checking each request, all read at one moment."""
        known = await saga.known_starts(connection, [ask.correlation_id for ask in asks])
        legs = await flights.flights_by_ids(connection, list({leg for ask in asks for leg in ask.flight_ids}))
        numbers = list({ask.member_number for ask in asks if ask.member_number is not None})
        members = await loyalty.accounts_by_numbers(connection, numbers) if numbers else {}
        now = await self._database.clock.now(connection)
        return [_Scene(known.get(ask.correlation_id), legs, ask.member_number in members, now) for ask in asks]

    def _judge(
        self, request: BookFlight, scene: _Scene, *, may_use_member: bool
    ) -> BookingContext | tuple[Refusal, ...]:
        """The checks that depend on flights, members, prices and the time."""
        faults = check_allowed(request.simulation, simulation_allowed=self._simulation_allowed)
        closing = self._definitions.closing
        if request.pay_later:
            closing = closing.after_a_wait
        faults += check_journey(request, scene.flights, now=scene.now, closing=closing)
        if request.member_number is not None and not (scene.has_member and may_use_member):
            faults.append(
                MemberNotFound(
                    "There is no member with this number.", ("loyalty", "memberNumber"), RefusalCode.MEMBER_NOT_FOUND
                )
            )
        token = None if request.pay_later else request.payment_token or self._default_token
        if token is None and not request.pay_later:
            faults.append(_token_needed())
        if faults:
            return tuple(faults)
        return _context(request, [scene.flights[leg] for leg in _flight_ids(request)], token)

    def departs_after(self, now: int) -> int:
        """Flights that depart after this moment can be booked `now`; microseconds."""
        return self._definitions.closing.departs_after(now)

    # ------------------------------------------------------------------ pay later

    async def pay_for_hold(
        self, correlation_id: str, token: str | None, *, subject: str | None, by: Actor, asked: Asked | None = None
    ) -> SagaView | InvalidInput | SagaNotFound | NothingToPay | TooLateToPay | PaymentsUnavailable:
        """Pay for held seats with the card of `token`; None: the provider's default. Durable when this returns.

        Guarantee: the same card said again changes nothing, also after the saga has ended. Another card is accepted
        only while the saga waits for one, and only while the provider can be asked. The deadline is judged by the
        database's clock, under the saga's lock. `asked`: the caller, whose payment is on the record if an operator's.
        """
        token = self._default_token if token is None else token
        fault = _token_needed() if token is None else next(iter(check_token(token)), None)
        if fault is not None:
            return fault
        found = await self._engine.saga(correlation_id, subject=subject)
        if found is None:
            return _not_found()
        seconds = self._payments_unavailable()
        if seconds is not None and found.awaiting is not None and found.awaiting.wants == PAYMENT:
            message = "No payment can be made just now; the seats stay held until the hold ends."
            return PaymentsUnavailable(message, ("payment",), RefusalCode.PAYMENTS_UNAVAILABLE, seconds)
        entry = _entry(asked, OperatorActionKind.PAY_FOR_HOLD, "WAITING for PAYMENT", "card given")
        match await self._engine.say(correlation_id, PAYMENT, msgspec.json.encode(token), actor=by, entry=entry):
            case saga.WordSaid() | saga.WordStands():
                return await self._present(correlation_id)
            case saga.WaitIsOver():
                return TooLateToPay(
                    "The time to pay for these seats has passed; book again.",
                    ("correlationId",),
                    RefusalCode.HOLD_EXPIRED,
                )
            case saga.NotAwaited():
                message = "The saga does not wait for a payment, or another card is being tried."
                return NothingToPay(message, ("correlationId",), RefusalCode.NOTHING_TO_PAY)

    async def confirm_card(
        self, correlation_id: str, *, subject: str | None, asked: Asked | None = None
    ) -> SagaView | SagaNotFound | NothingToPay:
        """Ask the provider now whether the card's holder has answered the bank. Said again, it changes nothing.

        `asked`: the caller, whose request is on the record if an operator's.
        """
        if await self._engine.saga(correlation_id, subject=subject) is None:
            return _not_found()
        entry = _entry(asked, OperatorActionKind.CONFIRM_CARD, "WAITING for CARD_CONFIRMATION", "look requested")
        if isinstance(await self._engine.say(correlation_id, CARD_CONFIRMATION, entry=entry), saga.WordSaid):
            return await self._present(correlation_id)
        return NothingToPay(
            "The saga does not wait for a card's holder.", ("correlationId",), RefusalCode.NOTHING_TO_PAY
        )

    # ------------------------------------------------------------------ cancel

    async def cancel_saga(
        self, correlation_id: str, *, subject: str | None, asked: Asked
    ) -> SagaView | InvalidInput | SagaNotFound | TooLateToCancel:
        """Ask a running saga to stop and undo its steps. A repeated request changes nothing more."""
        fault = _reason_fault(asked)
        if fault is not None:
            return fault
        found = await self._engine.saga(correlation_id, subject=subject)
        if found is None:
            return _not_found()
        answer = await self._engine.cancel(correlation_id, asked)
        if isinstance(answer, saga.PivotDecided):
            async with self._database.reading() as connection:
                journey = itinerary(found)
                booking_saga = journey.booking_saga_id if journey is not None else found.id
                booking = (await records.bookings_of_sagas(connection, [booking_saga])).get(booking_saga)
            message = (
                f"Booking {booking.reference} is confirmed; cancel the booking."
                if booking
                else "The booking is being confirmed now."
            )
            facts = {"reference": booking.reference} if booking else {}
            return TooLateToCancel(message, ("correlationId",), RefusalCode.TOO_LATE_TO_CANCEL, booking, facts=facts)
        return await self._present(correlation_id)

    async def look_now(self, reference: str, says: PaymentStatus | None = None) -> Payment | None:
        """Let the saga that waits for the payment with `reference` look at it, as there may be news of it.

        `says`: what the hint says of the payment, if it says anything. Returns the payment if there may be news that
        no saga waits for. A hint: it only reads if none waits.
        """
        async with self._database.reading() as connection:
            payment = await payments.payment_of_reference(connection, reference)
            if payment is None:
                return None
            ours = await saga.by_ids(connection, [payment.saga_id])
            booking = (await records.bookings_of_sagas(connection, [payment.saga_id])).get(payment.saga_id)
            if booking is not None and booking.cancellation_id is not None:
                ours |= await saga.by_ids(connection, [booking.cancellation_id])
        # A provider tells of every change of every payment, and few of these are waited for.
        if not payments.is_news(payment, says):
            return None
        for found in ours.values():
            wants = _looked_for(found)
            if wants is not None and isinstance(await self._engine.say(found.correlation_id, wants), saga.WordSaid):
                return None
        # A saga that is under way finds out by itself, and its own answer is often what the hint is about.
        return None if any(found.status in _UNDER_WAY for found in ours.values()) else payment

    async def cancel_booking(
        self,
        reference: str,
        *,
        correlation_id: str | None,
        simulation: Simulation | None,
        subject: str | None,
        by: str,
        asked: Asked | None = None,
    ) -> SagaView | tuple[Refusal, ...]:
        """Start CANCEL_BOOKING for a confirmed booking; a repeated request finds the same saga.

        `asked`: the caller, whose cancellation is on the record if an operator's.
        """
        faults = check_simulation(simulation, self._definitions.losable_steps)
        if faults:
            return tuple(faults)
        reference = written_reference(reference)
        digest = fingerprint("cancelBooking", {"reference": reference, "simulation": _simulation(simulation)})
        if correlation_id is not None:
            known = await self._engine.find(correlation_id, subject, digest)
            if known is not None:
                return await self._known(known)
        faults = check_allowed(simulation, simulation_allowed=self._simulation_allowed)
        if faults:
            return tuple(faults)
        for look in range(1, LOOKS_MAX + 1):
            async with self._database.reading() as connection:
                found = (await records.bookings_by_references(connection, [reference])).get(reference)
                if found is None or (subject is not None and found.subject != subject):
                    return (
                        BookingNotFound(
                            "There is no booking with this reference.", ("reference",), RefusalCode.BOOKING_NOT_FOUND
                        ),
                    )
                existing = await self._cancellation(connection, found)
                if existing is not None:
                    return existing
                refusal, context = await self._look_up_cancellation(connection, found, by)
            if context is None:
                return (refusal,) if refusal else ()
            answer = await self._start(
                StartRequest(
                    self._definitions.cancel_booking,
                    correlation_id or str(uuid.uuid4()),
                    found.subject if subject is None else subject,
                    digest,
                    context,
                    tuple(f"flight:{flight_id}" for flight_id in context.flight_ids),
                    simulation,
                    Actor(ActorRole.OPERATOR if subject is None else ActorRole.CUSTOMER, by),
                    _entry(
                        asked,
                        OperatorActionKind.CANCEL_BOOKING,
                        f"booking {reference} is {found.status.value}",
                        "cancellation begun",
                    ),
                )
            )
            if isinstance(answer, SagaView) or answer:
                return answer
            # Another request has just begun to cancel this booking, or is about to: a later look finds its saga.
            if look == LOOKS_MAX:
                return (
                    BookingNotCancellable(
                        "The booking is being changed; try again.", ("reference",), RefusalCode.BOOKING_BUSY, found
                    ),
                )
            await asyncio.sleep(LOOK_SECONDS)
        raise AssertionError("unreachable")

    async def _cancellation(self, connection: AsyncConnection, booking: Booking) -> SagaView | None:
        """The booking's cancellation, unless it was undone itself and left the booking confirmed."""
        if booking.cancellation_id is None:
            return None
        found = (await saga.by_ids(connection, [booking.cancellation_id])).get(booking.cancellation_id)
        return None if found is None or found.status is saga.SagaStatus.COMPENSATED else found

    async def _look_up_cancellation(
        self, connection: AsyncConnection, booking: Booking, by: str
    ) -> tuple[Refusal | None, CancellationContext | None]:
        def refuse(message: str, code: RefusalCode) -> tuple[Refusal, None]:
            return BookingNotCancellable(message, ("reference",), code, booking), None

        if booking.status is not BookingStatus.CONFIRMED:
            return refuse(f"The booking is {booking.status.value}.", RefusalCode.BOOKING_NOT_CONFIRMED)
        made_by = (await saga.by_ids(connection, [booking.saga_id]))[booking.saga_id]
        journey = itinerary(made_by)
        if journey is None:
            message = f"Saga {made_by.correlation_id}, which made the booking, cannot be read; ask an operator."
            return refuse(message, RefusalCode.BOOKING_UNREADABLE)
        flight_ids = journey.flight_ids
        found = await flights.flights_by_ids(connection, flight_ids)
        now = await self._database.clock.now(connection)
        if any(flight.departs_at <= now for flight in found.values()):
            return refuse("A flight of this booking has departed.", RefusalCode.FLIGHT_DEPARTED)
        return None, CancellationContext(
            booking.id, booking.saga_id, booking.reference, flight_ids, journey.payment_reference, by
        )

    # ------------------------------------------------------------------ operators

    async def retry_saga(
        self, correlation_id: str, *, asked: Asked
    ) -> SagaView | InvalidInput | SagaNotFound | NothingToRetry:
        """Operator: make the pending next attempt now, or resume a STUCK saga."""
        fault = _reason_fault(asked)
        if fault is not None:
            return fault
        if await self._engine.saga(correlation_id) is None:
            return _not_found()
        answer = await self._engine.retry(correlation_id, asked)
        if isinstance(answer, saga.NotWaiting):
            return NothingToRetry(answer.reason, ("correlationId",), RefusalCode.NOTHING_TO_RETRY)
        return await self._present(correlation_id)

    async def skip_step(
        self, correlation_id: str, step: str, reason: str, *, asked: Asked
    ) -> SagaView | InvalidInput | SagaNotFound | NothingToRetry:
        """Operator: give up the stuck step, or the stuck compensation of `step`, on the record."""
        fault = _reason_fault(replace(asked, reason=reason))
        if fault is not None:
            return fault
        if await self._engine.saga(correlation_id) is None:
            return _not_found()
        answer = await self._engine.skip(correlation_id, step, reason.strip(), asked)
        if isinstance(answer, saga.NotWaiting):
            return NothingToRetry(answer.reason, ("step",), RefusalCode.NOTHING_TO_SKIP)
        return await self._present(correlation_id)

    async def settle_saga(
        self, correlation_id: str, how: str, *, asked: Asked
    ) -> SagaView | InvalidInput | SagaNotFound | NothingToSettle:
        """Operator: record how something that an ABANDONED saga left behind was settled by hand."""
        fault = _reason_fault(replace(asked, reason=how), "how")
        if fault is not None:
            return fault
        if await self._engine.saga(correlation_id) is None:
            return _not_found()
        answer = await self._engine.settle(correlation_id, how.strip(), asked)
        if isinstance(answer, saga.NothingToSettle):
            return NothingToSettle(answer.reason, ("correlationId",), RefusalCode.NOTHING_TO_SETTLE)
        return await self._present(correlation_id)

    async def release_expired(self, *, sagas_max: int = expiry.SWEEP_SAGAS_MAX) -> int:
        """Run one bounded sweep over lapsed holds; return how many reservations expired.

        Raises PassedOverError, with all others done, if one cannot be expired.
        """
        return await expiry.release_expired(self._engine, sagas_max=sagas_max)

    # ------------------------------------------------------------------ within

    async def _known(self, known: Started | CorrelationIdReused) -> SagaView | tuple[Refusal, ...]:
        return await self._present(known.correlation_id) if isinstance(known, Started) else (_taken(),)

    async def _start(self, request: StartRequest) -> SagaView | tuple[Refusal, ...]:
        """Start; an empty answer means that the feature refused within the transaction: look again."""
        match await self._engine.start(request):
            case Started(_, correlation_id, new):
                return await self._present(correlation_id) if new is None else new
            case CorrelationIdReused():
                return (_taken(),)
            case Overloaded(limit, retry_after_seconds):
                message = f"{limit} sagas are in flight; try again in {retry_after_seconds} s."
                return (LimitExceeded(message, retry_after_seconds, limit),)
            case StartRefused(TooManyHeld() as refused):
                path = ("segments", str(refused.segment))
                return (
                    TooManyHolds(
                        refused.message,
                        path,
                        RefusalCode.TOO_MANY_HOLDS,
                        refused.limit,
                        refused.retry_after_seconds,
                        facts={"has": refused.has, "limit": refused.limit, "wanted": refused.wanted},
                    ),
                )
            case StartRefused(TooManyFailed(message=message, limit=limit, retry_after_seconds=seconds)):
                return (LimitExceeded(message, seconds, limit),)
            case StartRefused():
                return ()

    async def _present(self, correlation_id: str) -> SagaView:
        found = await self._engine.saga(correlation_id)
        if found is None:
            raise LookupError(f"saga {correlation_id} was committed but does not exist")
        return found


def _entry(asked: Asked | None, kind: OperatorActionKind, before: str, done: str) -> Entry | None:
    """What goes on the record; None unless an operator asked."""
    if asked is None or not asked.is_operators:
        return None
    return Entry(asked, kind, before, f"{before}; {done}")


_UNDER_WAY: Final = (
    saga.SagaStatus.PENDING,
    saga.SagaStatus.RUNNING,
    saga.SagaStatus.COMPENSATING,
    saga.SagaStatus.STUCK,
)


def _looked_for(found: SagaView) -> str | None:
    """What the saga waits for that a look can end; None if it waits for nothing, or for a word."""
    if found.awaiting is not None:
        return CARD_CONFIRMATION if found.awaiting.wants == CARD_CONFIRMATION else None
    waiting = any(saga.StepStatus.WAITING in (step.status, step.undo and step.undo.status) for step in found.steps)
    return REFUND if waiting and not found.status.is_terminal else None


def _flight_ids(request: BookFlight) -> tuple[int, ...]:
    return tuple(segment.flight_id for segment in request.segments if segment.flight_id is not None)


def _reason_fault(asked: Asked, name: str = "reason") -> InvalidInput | None:
    """The fault of the reason that goes on the record, if there is one."""
    fault = None if asked.reason is None else reason_fault(asked.reason, name)
    return None if fault is None else InvalidInput(fault, (name,), RefusalCode.REASON_INVALID, facts=REASON_FACTS)


def _not_found() -> SagaNotFound:
    return SagaNotFound("There is no saga with this correlation ID.", ("correlationId",), RefusalCode.SAGA_NOT_FOUND)


def _token_needed() -> InvalidInput:
    return InvalidInput("A card token is needed.", ("payment", "token"), RefusalCode.CARD_TOKEN_MISSING)


def _taken() -> CorrelationIdTaken:
    return CorrelationIdTaken(
        "This correlation ID belongs to a different request; use another.",
        ("correlationId",),
        RefusalCode.CORRELATION_ID_REUSED,
    )


def _context(request: BookFlight, legs: Sequence[Flight], token: str | None) -> BookingContext:
    total = total_of(request, legs)
    miles = sum(flight.miles(segment.cabin.value) for segment, flight in zip(request.segments, legs, strict=True))
    earns = request.member_number is not None and not request.points_to_redeem
    return BookingContext(
        subject=request.subject,
        segments=tuple(
            SegmentContext(flight.id, flight.number, segment.cabin, _indexes(segment.seats))
            for segment, flight in zip(request.segments, legs, strict=True)
        ),
        passengers=len(request.passengers),
        total=total.minor,
        payable=total.minor - request.points_to_redeem * POINT_MINOR_UNITS,
        currency=total.currency,
        member=request.member_number,
        miles=miles * len(request.passengers) if earns else 0,
        points=request.points_to_redeem,
        token=token,
        pays_later=request.pay_later,
        new_passengers=tuple(
            PassengerRecord(person.given_name.strip(), person.family_name.strip(), person.date_of_birth)
            for person in request.passengers
        ),
    )


def _indexes(numbers: Sequence[str] | None) -> tuple[int, ...] | None:
    if numbers is None:
        return None
    return tuple(index for number in numbers if (index := seat_index(number)) is not None)


def _as_asked(request: BookFlight) -> dict[str, Any]:
    """The request as a separate structure, so that the domain's types may change without changing the fingerprint."""
    expected = request.expected_total
    return {
        "segments": [
            {
                "flight": segment.flight_id,
                "cabin": segment.cabin.value,
                "seats": None if segment.seats is None else [number.upper() for number in segment.seats],
            }
            for segment in request.segments
        ],
        "passengers": [
            {"given": p.given_name.strip(), "family": p.family_name.strip(), "born": p.date_of_birth}
            for p in request.passengers
        ],
        "member": request.member_number,
        "points": request.points_to_redeem,
        "token": request.payment_token,
        "payLater": request.pay_later,
        "expected": [expected.minor, expected.currency] if expected else None,
        "simulation": _simulation(request.simulation),
    }


def _simulation(simulation: Simulation | None) -> dict[str, Any] | None:
    if simulation is None:
        return None
    return {
        "failAt": sorted(set(simulation.fail_at)),
        "failCompensationAt": sorted(set(simulation.fail_compensation_at)),
        "loseAnswerAt": sorted(set(simulation.lose_answer_at)),
        "delayMs": simulation.delay_ms,
    }
