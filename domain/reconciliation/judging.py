"""Whether a payment at the provider is as our saga left it: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from domain.bookings import BookingStatus
from domain.clock import SECOND
from domain.money import Money
from domain.payments import PaymentStatus, ProviderEntry, ProviderState
from domain.reconciliation.differences import Difference
from domain.reconciliation.ours import OurPayment
from domain.saga import SagaStatus

__all__ = ["Judged", "Verdict", "judge"]

#: A saga whose end is this old had its last effect when the provider was asked, whatever the two clocks say.
SETTLED_SECONDS: Final = 60
#: So long before its end an authorization is reported that no saga has used.
LAPSES_SECONDS: Final = 48 * 3_600
#: What is judged also while the saga is under way.
_AT_ANY_TIME: Final = frozenset({Difference.DISPUTED, Difference.AUTHORIZATION_LAPSES})
_CAN_BE_AUTHORIZED: Final = frozenset({ProviderState.OPEN, ProviderState.NEEDS_HOLDER})


@dataclass(frozen=True, slots=True)
class Judged:
    """A difference at the payment. `is_mendable`: voiding or refunding what is left is right, and nobody else will."""

    kind: Difference
    at_stake: Money
    detail: str
    is_mendable: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What differs at one payment. `kinds`: those that were judged; of the others nothing is known at this look."""

    reference: str
    correlation_id: str | None
    saga_id: str | None
    found: tuple[Judged, ...]
    kinds: frozenset[Difference]
    is_settled: bool


def judge(
    reference: str,
    entry: ProviderEntry | None,
    ours: OurPayment | None,
    *,
    asked_at: int,
    is_known_saga: bool = False,
) -> Verdict:
    """Judge the payment by the provider's `entry` (None: it has none) and `ours`, read in this order.

    `asked_at`: the moment, in microseconds of our clock, before the provider was asked. `is_known_saga`: a saga of
    ours has the entry's correlation ID.
    """
    correlation_id = ours.correlation_id if ours else entry.correlation_id if entry else None
    is_settled = ours is None or ours.is_settled(asked_at - SETTLED_SECONDS * SECOND)
    kinds = frozenset(Difference) if is_settled else _AT_ANY_TIME
    found = [item for item in _differences(entry, ours, asked_at, is_known_saga) if item.kind in kinds]
    return Verdict(reference, correlation_id, ours.saga_id if ours else None, tuple(found), kinds, is_settled)


def _differences(
    entry: ProviderEntry | None, ours: OurPayment | None, asked_at: int, is_known_saga: bool
) -> Iterator[Judged]:
    if entry is not None and not (ours is None and entry.is_foreign):
        yield from _disputed(entry)
    if ours is None:
        if entry is not None and entry.has_money and not entry.is_foreign:
            yield _unknown(entry, is_known_saga)
        return
    if entry is not None:
        yield from _lapsing(entry, ours, asked_at)
    if ours.booking_status is BookingStatus.CONFIRMED:
        yield from _of_booking(entry, ours)
    elif entry is not None:
        yield from _of_none(entry, ours)


def _disputed(entry: ProviderEntry) -> Iterator[Judged]:
    if entry.disputed:
        yield Judged(Difference.DISPUTED, _money(entry.disputed, entry), f"{_money(entry.disputed, entry)} disputed")


def _unknown(entry: ProviderEntry, is_known_saga: bool) -> Judged:
    whose = "its saga has another payment" if is_known_saga else "there is no such saga"
    return Judged(Difference.UNKNOWN_MONEY, _at_stake(entry), f"{_holdings(entry)}; {whose}")


def _lapsing(entry: ProviderEntry, ours: OurPayment, asked_at: int) -> Iterator[Judged]:
    if not entry.reserved or entry.capture_before is None or (ours.saga is not None and ours.saga.is_terminal):
        return
    left_seconds = (entry.capture_before - asked_at) // SECOND
    if left_seconds <= LAPSES_SECONDS:
        when = f"lapses in {left_seconds // 3_600} h" if left_seconds > 0 else "has lapsed"
        detail = f"{_money(entry.reserved, entry)} reserved, which {when}; the saga is {_name(ours.saga)}"
        yield Judged(Difference.AUTHORIZATION_LAPSES, _money(entry.reserved, entry), detail)


def _of_booking(entry: ProviderEntry | None, ours: OurPayment) -> Iterator[Judged]:
    """The booking stands: its money was captured, and stays."""
    of = f"booking {ours.booking}"
    if entry is None:
        yield Judged(Difference.BOOKING_UNPAID, ours.amount, f"{of}; the provider does not know the payment")
        return
    if not entry.captured:
        yield Judged(Difference.BOOKING_UNPAID, ours.amount, f"{of}; the payment is {entry.state.value}")
        return
    if entry.charged_back:
        lost = _money(entry.charged_back, entry)
        yield Judged(Difference.CHARGED_BACK, lost, f"{of}; {lost} went back to the card's holder")
    given_back = entry.refunded + entry.refunding
    if given_back:
        yield Judged(
            Difference.BOOKING_REFUNDED, _money(given_back, entry), f"{of}; {_money(given_back, entry)} given back"
        )
    taken = _money(entry.captured, entry)
    if taken != ours.amount:
        at_stake = taken if taken.currency != ours.amount.currency else _apart(taken, ours.amount)
        yield Judged(Difference.OTHER_AMOUNT, at_stake, f"{of}; {taken} taken, {ours.amount} due")


def _of_none(entry: ProviderEntry, ours: OurPayment) -> Iterator[Judged]:
    """There is no booking, or no longer: all of the money was given back, and no more can be taken."""
    of = f"booking {ours.booking}" if ours.booking else f"the saga is {_name(ours.saga)}"
    kind = Difference.REFUND_MISSING if ours.booking else Difference.UNCLAIMED_MONEY
    ended_well = ours.cancellation is SagaStatus.COMPLETED if ours.booking else ours.saga is SagaStatus.COMPENSATED
    # The bank decides about disputed money; a refund beside it would give it back twice.
    is_mendable = ended_well and not entry.disputed
    if entry.has_money:
        yield Judged(kind, _at_stake(entry), f"{of}; {_holdings(entry)}", is_mendable)
    if entry.refunding:
        on_its_way = _money(entry.refunding, entry)
        yield Judged(Difference.REFUND_PENDING, on_its_way, f"{of}; {on_its_way} on its way back")
    if _is_open(entry, ours):
        detail = f"{of}; the payment is {entry.state.value}"
        yield Judged(Difference.OPEN_REFERENCE, entry.amount, detail, is_mendable)


def _is_open(entry: ProviderEntry, ours: OurPayment) -> bool:
    """Whether somebody can still pay. A payment whose card was declined stays open, and nobody has its secret."""
    if entry.state is ProviderState.NEEDS_HOLDER:
        return True
    return entry.state in _CAN_BE_AUTHORIZED and ours.status not in (PaymentStatus.DECLINED, PaymentStatus.PENDING)


# ---------------------------------------------------------------- words and sums


def _money(minor: int, entry: ProviderEntry) -> Money:
    return Money(minor, entry.amount.currency)


def _at_stake(entry: ProviderEntry) -> Money:
    return _money(entry.kept + entry.reserved, entry)


def _apart(one: Money, other: Money) -> Money:
    return Money(abs(one.minor - other.minor), one.currency)


def _holdings(entry: ProviderEntry) -> str:
    parts = [f"{_money(entry.reserved, entry)} reserved"] if entry.reserved else []
    parts += [f"{_money(entry.kept, entry)} taken"] if entry.kept else []
    return " and ".join(parts)


def _name(saga: SagaStatus | None) -> str:
    return saga.value if saga is not None else "missing"
