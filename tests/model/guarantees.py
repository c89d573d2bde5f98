"""What the protocol promises, each as one sentence and one look at a move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from domain.payments import ProviderState
from domain.saga import Phase, SagaStatus
from domain.seats import SeatReservationStatus
from tests.model.provider import Operation
from tests.model.row import HOLD_TICKS, STEP_BUDGET_TICKS, WAIT_TICKS, Step
from tests.model.state import Stage, Standing, State

__all__ = ["Guarantee", "broken_by"]


class Guarantee(StrEnum):
    """One promise."""

    ONE_OWNER = "A seat never has two owners, nor is one for sale that has one."
    LAPSED_NEVER_CONFIRMED = "A hold is confirmed only if it was pinned before it lapsed."
    PIN_DECIDES = "A cancel or an expiry that was accepted is obeyed; after the pin none is accepted."
    COMPLETED_IS_PAID = "A saga that is COMPLETED has its seat, and the money was captured and not given back."
    COMPENSATED_IS_FREE = "A saga that is COMPENSATED has no seat, and never again is money reserved or taken for it."
    EFFECT_ONCE = "Every effect at the provider takes place once at most."
    STRANGER_NEVER_WRITES = "Only the owner, in its present epoch, writes to a saga and to what is the saga's."
    WORD_COUNTS_ONCE = "A word that was accepted begins one attempt at most."
    WORD_IN_TIME = "No word is accepted once the deadline of its wait has passed."
    ONE_CARD = "No card is sent while another one, sent before, may still be authorized."
    UNSENT_IS_NOTHING = "A call that was not sent leaves the saga as it stood before it, or its time is up."
    PIN_IS_EARNED = "Only an attempt that may have left keeps a saga pinned."
    LINE_IS_NOTHING = "Of a saga that comes to stand in line nothing is begun."
    PLACE_COMES_BACK = "A saga has a place, or stands in line for one, only while a call of its is next."
    END_IS_STABLE = "What is over stays as it ended."
    CAN_END = (
        "Whatever has happened, if nothing more goes wrong the saga ends by itself; while its provider stays away, it "
        "turns round."
    )


def broken_by(before: State, after: State, only: Guarantee | None = None) -> Guarantee | None:
    """The first promise that this move breaks, or `only` that one; CAN_END is about what may follow."""
    if only is not None:
        return only if only in _BROKEN and _BROKEN[only](before, after) else None
    for guarantee, is_broken in _BROKEN.items():
        if is_broken(before, after):
            return guarantee
    return None


def _two_owners(before: State, after: State) -> bool:
    reservation = after.seat.reservation
    owners = int(reservation is not None and reservation.is_live) + int(after.seat.rival)
    return owners > 1 or (owners == 1 and after.seat.available)


def _lapsed_and_confirmed(before: State, after: State) -> bool:
    # Not by what was written: a pin that was judged too early bears too early a time.
    if before.row.pinned_at is None and after.row.pinned_at is not None and before.now >= HOLD_TICKS:
        return True
    return after.seat.reservation is SeatReservationStatus.CONFIRMED and after.row.pinned_at is None


def _decided_besides_pin(before: State, after: State) -> bool:
    row, reservation = after.row, after.seat.reservation
    if row.pinned_at is None:
        return False
    return row.cancel_requested or row.hold_expired or reservation is None or not reservation.is_live


def _completed_unpaid(before: State, after: State) -> bool:
    if after.row.status is not SagaStatus.COMPLETED:
        return False
    return (
        after.provider.state is not ProviderState.CAPTURED
        or after.seat.reservation is not SeatReservationStatus.CONFIRMED
    )


def _compensated_and_charged(before: State, after: State) -> bool:
    if after.row.status is not SagaStatus.COMPENSATED:
        return False
    reservation = after.seat.reservation
    return after.provider.state in (ProviderState.AUTHORIZED, ProviderState.CAPTURED) or (
        reservation is not None and reservation.is_live
    )


def _effect_twice(before: State, after: State) -> bool:
    books = after.provider
    return max(books.authorizations, books.captures, books.voids, books.refunds) > 1


def _written_by_stranger(before: State, after: State) -> bool:
    return after.written_by_stranger or after.row.epoch < before.row.epoch


def _word_twice(before: State, after: State) -> bool:
    return after.word_counted_twice


def _word_too_late(before: State, after: State) -> bool:
    return after.row.word > before.row.word and before.now >= WAIT_TICKS


def _two_cards(before: State, after: State) -> bool:
    sent = {call.request for call in after.calls if call.stage is Stage.ASK and call.position == Step.AUTHORIZE}
    may_land = {request for request in (*sent, *after.wire) if request is not None}
    cards = {request for request in may_land if request.operation is Operation.AUTHORIZE}
    return len({request.round for request in cards if after.provider.kept(request) is None}) > 1


def _unsent_was_something(before: State, after: State) -> bool:
    answer, row = before.work.answer, after.row
    if answer is None or answer.before is None or not answer.belongs_to(before.row):
        return False
    if before.row.phase is not Phase.CALLING or row.phase is Phase.CALLING or row.epoch != before.row.epoch:
        return False
    if row.direction is not before.row.direction:
        is_late = before.now > HOLD_TICKS - STEP_BUDGET_TICKS or before.row.hold_expired
        return not is_late or row.effects & ~answer.before.effects != 0
    same = row.status is before.row.status and row.footing == answer.before
    return not same or (row.round, row.uncertain) != (before.row.round, before.row.uncertain)


def _pinned_for_nothing(before: State, after: State) -> bool:
    row = after.row
    return row.pinned_at is not None and row.phase is Phase.READY and not row.is_over and not row.attempt


def _begun_in_line(before: State, after: State) -> bool:
    if after.standing is not Standing.LINE or before.standing is Standing.LINE:
        return False
    return after.row._replace(is_due=True) != before.row._replace(retry_requested=False)


def _place_without_call(before: State, after: State) -> bool:
    row = after.row
    return after.standing is not Standing.NONE and (row.is_over or row.position == Step.RESERVE)


def _ended_otherwise(before: State, after: State) -> bool:
    return before.row.is_over and before.row != after.row


_BROKEN: Final[Mapping[Guarantee, Callable[[State, State], bool]]] = {
    Guarantee.ONE_OWNER: _two_owners,
    Guarantee.LAPSED_NEVER_CONFIRMED: _lapsed_and_confirmed,
    Guarantee.PIN_DECIDES: _decided_besides_pin,
    Guarantee.COMPLETED_IS_PAID: _completed_unpaid,
    Guarantee.COMPENSATED_IS_FREE: _compensated_and_charged,
    Guarantee.EFFECT_ONCE: _effect_twice,
    Guarantee.STRANGER_NEVER_WRITES: _written_by_stranger,
    Guarantee.WORD_COUNTS_ONCE: _word_twice,
    Guarantee.WORD_IN_TIME: _word_too_late,
    Guarantee.ONE_CARD: _two_cards,
    Guarantee.UNSENT_IS_NOTHING: _unsent_was_something,
    Guarantee.PIN_IS_EARNED: _pinned_for_nothing,
    Guarantee.LINE_IS_NOTHING: _begun_in_line,
    Guarantee.PLACE_COMES_BACK: _place_without_call,
    Guarantee.END_IS_STABLE: _ended_otherwise,
}
