"""Every mutation: each starts or signals a saga, or steers the provider, and answers once that is durable.

Each field is nullable: an error of one mutation must not remove the results of the other mutations in
its operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, TypeVar

import strawberry

from domain import bookings
from domain.bulk import UnknownBulkAction
from domain.saga import SagaView
from schema.bulk import (
    StartBulkActionInput,
    StartBulkActionPayload,
    StopBulkActionInput,
    StopBulkActionPayload,
)
from schema.bulk_actions import bulk_key
from schema.context import RequestInfo, Scope, may_use_account, require_scope
from schema.inputs import (
    BookFlightInput,
    CancelBookingInput,
    CancelSagaInput,
    ConfirmCardInput,
    PausePaymentProviderInput,
    PayForHoldInput,
    ResumePaymentProviderInput,
    RetrySagaInput,
    SettleSagaInput,
    SkipStepInput,
)
from schema.payloads import (
    BookFlightPayload,
    CancelBookingPayload,
    CancelSagaPayload,
    ConfirmCardPayload,
    PayForHoldPayload,
    RetrySagaPayload,
    SettleSagaPayload,
    SkipStepPayload,
    errors_of,
)
from schema.providers import PaymentProviderPayload, steer_provider
from schema.sagas import Saga

__all__ = ["Mutation"]

P = TypeVar("P")


@strawberry.type(description="What can be done.")
class Mutation:
    @strawberry.mutation(
        description=(
            "Starts BOOK_AND_EARN or BOOK_AND_REDEEM and returns as soon as the saga is durable; "
            "watch it by its correlation ID."
        )
    )
    async def book_flight(
        self, info: RequestInfo, input: Annotated[BookFlightInput, strawberry.argument(description="The journey.")]
    ) -> BookFlightPayload | None:
        viewer = info.context.viewer
        request = input.request(viewer.subject)
        if isinstance(request, bookings.InvalidInput):
            return _payload(info, BookFlightPayload, request)
        member = request.member_number
        may_use_member = member is None or may_use_account(info, member)
        is_limited = not (viewer.may(Scope.SAGAS_MEND) or viewer.is_trusted)
        answer = await info.context.services.bookings.book(
            request,
            may_use_member=may_use_member,
            is_limited=is_limited,
            by=viewer.actor,
            # A repeated request finds its saga by all that it says, also by the passengers' names.
            sees_only=viewer.sees_only if viewer.names_only is None else viewer.subject,
            asked=info.context.asked if member is not None and not _is_at_hand(info, member) else None,
        )
        return _payload(info, BookFlightPayload, answer)

    @strawberry.mutation(
        description=(
            "Pays for held seats, and the saga continues. Repeating it with the same card changes nothing. After a "
            "decline the saga waits again: repeat it with another card."
        )
    )
    async def pay_for_hold(
        self, info: RequestInfo, input: Annotated[PayForHoldInput, strawberry.argument(description="The payment.")]
    ) -> PayForHoldPayload | None:
        viewer = info.context.viewer
        answer = await info.context.services.bookings.pay_for_hold(
            input.correlation_id,
            input.payment.token,
            subject=viewer.acts_only_for,
            by=viewer.actor,
            asked=info.context.asked,
        )
        await _refuse_to_act(info, answer, input.correlation_id)
        return _payload(info, PayForHoldPayload, answer)

    @strawberry.mutation(
        description="Tells the server that the customer has answered the bank, so that it asks the provider now."
    )
    async def confirm_card(
        self, info: RequestInfo, input: Annotated[ConfirmCardInput, strawberry.argument(description="Which one.")]
    ) -> ConfirmCardPayload | None:
        answer = await info.context.services.bookings.confirm_card(
            input.correlation_id, subject=info.context.viewer.acts_only_for, asked=info.context.asked
        )
        await _refuse_to_act(info, answer, input.correlation_id)
        return _payload(info, ConfirmCardPayload, answer)

    @strawberry.mutation(description="Asks a running saga to stop and undo what it did.")
    async def cancel_saga(
        self, info: RequestInfo, input: Annotated[CancelSagaInput, strawberry.argument(description="Which one.")]
    ) -> CancelSagaPayload | None:
        context = info.context
        answer = await context.services.bookings.cancel_saga(
            input.correlation_id,
            subject=context.viewer.acts_only_for,
            asked=replace(context.asked, reason=input.reason),
        )
        await _refuse_to_act(info, answer, input.correlation_id)
        return _payload(info, CancelSagaPayload, answer)

    @strawberry.mutation(
        description="Starts CANCEL_BOOKING for a confirmed booking; said again, it returns the same saga."
    )
    async def cancel_booking(
        self, info: RequestInfo, input: Annotated[CancelBookingInput, strawberry.argument(description="Which one.")]
    ) -> CancelBookingPayload | None:
        context = info.context
        answer = await context.services.bookings.cancel_booking(
            input.reference,
            correlation_id=input.correlation_id,
            simulation=None if input.simulate is None else input.simulate.simulation(),
            subject=context.viewer.acts_only_for,
            by=context.viewer.subject,
            asked=context.asked,
        )
        await _refuse_to_cancel(info, answer, input.reference)
        return _payload(info, CancelBookingPayload, answer)

    @strawberry.mutation(description="Operator: try now what waits for its next attempt, or resume a STUCK saga.")
    async def retry_saga(
        self, info: RequestInfo, input: Annotated[RetrySagaInput, strawberry.argument(description="Which one.")]
    ) -> RetrySagaPayload | None:
        require_scope(info, Scope.SAGAS_MEND)
        answer = await info.context.services.bookings.retry_saga(
            input.correlation_id, asked=replace(info.context.asked, reason=input.reason)
        )
        return _payload(info, RetrySagaPayload, answer)

    @strawberry.mutation(
        description=(
            "Operator: give up the stuck step or compensation at this step, with a reason, on the record; "
            "the rest goes on, and the saga ends ABANDONED."
        )
    )
    async def skip_step(
        self, info: RequestInfo, input: Annotated[SkipStepInput, strawberry.argument(description="Which one.")]
    ) -> SkipStepPayload | None:
        require_scope(info, Scope.SAGAS_MEND)
        answer = await info.context.services.bookings.skip_step(
            input.correlation_id, input.step.value, input.reason, asked=info.context.asked
        )
        return _payload(info, SkipStepPayload, answer)

    @strawberry.mutation(
        description=(
            "Operator: records how something that an ABANDONED saga left behind was settled by hand, and takes it off "
            "the worklist."
        )
    )
    async def settle_saga(
        self, info: RequestInfo, input: Annotated[SettleSagaInput, strawberry.argument(description="Which one.")]
    ) -> SettleSagaPayload | None:
        require_scope(info, Scope.SAGAS_MEND)
        answer = await info.context.services.bookings.settle_saga(
            input.correlation_id, input.how, asked=info.context.asked
        )
        return _payload(info, SettleSagaPayload, answer)

    @strawberry.mutation(
        description=(
            "Operator: retries, skips, cancels or unparks all sagas that match a filter, at a set pace, durably, with "
            "a report."
        )
    )
    async def start_bulk_action(
        self, info: RequestInfo, input: Annotated[StartBulkActionInput, strawberry.argument(description="Which one.")]
    ) -> StartBulkActionPayload | None:
        require_scope(info, Scope.SAGAS_MEND)
        context = info.context
        return StartBulkActionPayload.of(
            await context.services.bulk.begin(input.request(), context.asked, is_dry_run=input.dry_run)
        )

    @strawberry.mutation(description="Operator: stops it; what was done stays done.")
    async def stop_bulk_action(
        self, info: RequestInfo, input: Annotated[StopBulkActionInput, strawberry.argument(description="Which one.")]
    ) -> StopBulkActionPayload | None:
        require_scope(info, Scope.SAGAS_MEND)
        key, context = bulk_key(input.id), info.context
        answer = UnknownBulkAction(input.id) if key is None else await context.services.bulk.end(key, context.asked)
        return StopBulkActionPayload.of(answer, context.viewer)

    @strawberry.mutation(
        description="Operator: sends no more calls to the provider until resumed. Waiting calls use no attempts."
    )
    async def pause_payment_provider(
        self,
        info: RequestInfo,
        input: Annotated[PausePaymentProviderInput, strawberry.argument(description="Why.")],
    ) -> PaymentProviderPayload | None:
        require_scope(info, Scope.PROVIDER_WRITE)
        asked = replace(info.context.asked, reason=input.reason)
        return await steer_provider(info, info.context.services.provider.pause, asked)

    @strawberry.mutation(description="Operator: sends calls again, a few at first.")
    async def resume_payment_provider(
        self,
        info: RequestInfo,
        input: Annotated[ResumePaymentProviderInput, strawberry.argument(description="Why.")],
    ) -> PaymentProviderPayload | None:
        require_scope(info, Scope.PROVIDER_WRITE)
        asked = replace(info.context.asked, reason=input.reason)
        return await steer_provider(info, info.context.services.provider.resume, asked)


def _is_at_hand(info: RequestInfo, member_number: str) -> bool:
    """Whether the account is the viewer's own, or everybody's."""
    return info.context.services.accounts_are_open or info.context.viewer.member_number == member_number


async def _refuse_to_act(info: RequestInfo, answer: object, correlation_id: str) -> None:
    """Raise FORBIDDEN for a viewer who may see the saga, but may not act for its customer."""
    viewer = info.context.viewer
    if not isinstance(answer, bookings.SagaNotFound) or viewer.sees_only is not None:
        return
    if await info.context.services.engine.saga(correlation_id) is not None:
        require_scope(info, Scope.SAGAS_MEND)


async def _refuse_to_cancel(info: RequestInfo, answer: object, reference: str) -> None:
    """The same of a booking; also for one who may act and not see, where the refusal would show the booking."""
    viewer = info.context.viewer
    match answer:
        case (bookings.BookingNotFound(),) if viewer.sees_only is None:
            async with info.context.services.database.reading() as connection:
                wanted = bookings.written_reference(reference)
                if await bookings.bookings_by_references(connection, [wanted]):
                    require_scope(info, Scope.SAGAS_MEND)
        case (bookings.BookingNotCancellable(booking=booking),) if not viewer.may_see(booking.subject):
            require_scope(info, Scope.SAGAS_READ)


def _payload(
    info: RequestInfo, payload: Callable[..., P], answer: SagaView | bookings.Refusal | tuple[bookings.Refusal, ...]
) -> P:
    """The payload of a mutation: the saga, as far as the viewer may see it, or the refusals as errors."""
    may_see = info.context.viewer.may_see
    match answer:
        case SagaView():
            info.context.note_correlation(answer.correlation_id)
            return payload(saga=Saga.of(answer) if may_see(answer.subject) else None, errors=[])
        case bookings.TooLateToCancel(booking=booking) if booking and not may_see(booking.subject):
            refusal = replace(answer, message="The saga cannot be cancelled any more.", booking=None, facts={})
            return payload(saga=None, errors=errors_of([refusal]))
        case tuple():
            return payload(saga=None, errors=errors_of(answer))
        case _:
            return payload(saga=None, errors=errors_of([answer]))
