"""The one function that undoes payments, and the one that looks what became of a refund."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments.gateway import PaymentGateway, ProviderPayment, ProviderState
from domain.payments.states import PaymentStatus

__all__ = ["PAYMENT_DISPUTED", "REFUND_FAILED", "ensure_no_charge", "refund_of"]

LOOKS_MAX: Final = 4
PAYMENT_UNKNOWN: Final = "PAYMENT_UNKNOWN"
REFUND_FAILED: Final = "REFUND_FAILED"
PAYMENT_DISPUTED: Final = "PAYMENT_DISPUTED"
#: What the provider may show of money that it has taken.
_TAKEN: Final = frozenset(
    {
        ProviderState.CAPTURED,
        ProviderState.REFUND_PENDING,
        ProviderState.REFUNDED,
        ProviderState.DISPUTED,
        ProviderState.CHARGED_BACK,
    }
)
#: States that the provider cannot show after an effect that we know of: then it is another account or other books.
_AT_ODDS: Final[Mapping[PaymentStatus, frozenset[ProviderState]]] = {
    PaymentStatus.AUTHORIZED: frozenset({ProviderState.ABSENT}),
    PaymentStatus.CAPTURED: frozenset(set(ProviderState) - _TAKEN),
}
#: What is said of a payment for which nothing more can, or may, be done now.
_UNDONE: Final[Mapping[ProviderState, PaymentStatus]] = {
    ProviderState.VOIDED: PaymentStatus.VOIDED,
    ProviderState.REFUND_PENDING: PaymentStatus.REFUND_PENDING,
    ProviderState.REFUNDED: PaymentStatus.REFUNDED,
    ProviderState.CHARGED_BACK: PaymentStatus.DISPUTED,
}
_DISPUTED: Final = Refused(
    PAYMENT_DISPUTED,
    "The card's holder reclaims the money through their bank: it cannot be refunded before the bank has decided.",
    passing=True,
)


async def ensure_no_charge(
    gateway: PaymentGateway, reference: str | None, key: Callable[[str], str], *, known: PaymentStatus
) -> Outcome:
    """Make sure that no money is, or later becomes, charged on `reference`, in any state at the provider.

    Succeeds with the result as data: VOIDED, also without any reference, REFUNDED, or DISPUTED if the bank has given
    the money back. It voids a payment that is not captured (also one that the provider does not know yet, or that the
    card's holder may still confirm: a late authorization is then refused), and refunds a captured one. A payment that
    is undone already is a success. If the state changes between the read and the operation, it is read
    again, a few times. `key` gives the idempotency key of an operation.

    REFUND_PENDING as data is no end: the provider has accepted a refund, by whomever, and no other is asked for
    before `refund_of` shows what became of it. A refund that failed is a refusal that has spent its key
    (REFUND_FAILED), also if it had succeeded first; a dispute that is open is one that may pass (PAYMENT_DISPUTED).

    `known`: the last state that is certain in our records. If the provider shows less (it does not know
    money that was AUTHORIZED; it has not taken money that was CAPTURED), nothing is done and the answer
    is a refusal: the money is at an account that this provider does not show.
    """
    if reference is None:
        return Succeeded("nothing was charged", PaymentStatus.VOIDED)
    outcome: Outcome = Unknown("UNRESOLVED", "The payment keeps changing.")
    is_asked = False
    for _ in range(LOOKS_MAX):
        found = await gateway.read(reference)
        if not isinstance(found, Succeeded):
            return _not_yet(found)
        payment: ProviderPayment = found.data
        if payment.state in _AT_ODDS.get(known, ()):
            return _at_odds(payment, known)
        if payment.state in _UNDONE:
            return _undone(payment)
        match payment.state:
            case ProviderState.DISPUTED:
                return _DISPUTED
            case ProviderState.CAPTURED if is_asked:
                # It was accepted under this key before, and has failed since: the key only repeats that answer.
                return _failed(payment)
            case ProviderState.CAPTURED:
                outcome, ended = await gateway.refund(reference, key("refund")), PaymentStatus.REFUNDED
            case ProviderState.ABSENT | ProviderState.OPEN | ProviderState.NEEDS_HOLDER | ProviderState.AUTHORIZED:
                outcome, ended = await gateway.void(reference, key("void")), PaymentStatus.VOIDED
        match outcome:
            case Succeeded(_, ProviderState.REFUND_PENDING):
                is_asked = True
            case Succeeded() if payment.had_refunds:
                # The key may only repeat what was said of a refund that has failed since.
                is_asked = True
            case Succeeded():
                return Succeeded(f"{reference} {ended.value.lower()}", ended)
            case NotSent():
                return outcome
            case Unknown():
                return await _weigh(gateway, reference, outcome, payment.state)
            case Refused(code) if code == REFUND_FAILED:
                return outcome
    return _not_yet(outcome)


async def refund_of(gateway: PaymentGateway, reference: str) -> Outcome:
    """What became of the refund of `reference`; this only reads.

    As that of `ensure_no_charge`: REFUND_PENDING as data while the provider has not finished. CAPTURED as data: no
    refund is under way, and there is money left to give back. Refused with REFUND_FAILED if the last one failed, and
    with PAYMENT_DISPUTED while a bank decides.
    """
    found = await gateway.read(reference)
    if not isinstance(found, Succeeded):
        return _not_yet(found)
    payment: ProviderPayment = found.data
    if payment.state in _UNDONE:
        return _undone(payment)
    match payment.state:
        case ProviderState.DISPUTED:
            return _DISPUTED
        case ProviderState.CAPTURED if payment.refusal is not None:
            return _failed(payment)
        case ProviderState.CAPTURED:
            return Succeeded(f"{reference} is to be refunded", PaymentStatus.CAPTURED)
        case _:
            return _at_odds(payment, PaymentStatus.CAPTURED)


async def _weigh(gateway: PaymentGateway, reference: str, outcome: Unknown, before: ProviderState) -> Outcome:
    """The outcome after an answered fault, by the reference's state; the stored fault needs a new round."""
    if outcome.code != "PROVIDER_ERROR":
        return outcome
    found = await gateway.read(reference)
    if isinstance(found, Succeeded) and isinstance(found.data, ProviderPayment):
        if found.data.state in _UNDONE:
            return _undone(found.data)
        if found.data.state is before:
            return Refused(outcome.code, outcome.message, passing=True, key_spent=True)
    return outcome


def _undone(payment: ProviderPayment) -> Succeeded:
    status = _UNDONE[payment.state]
    words = payment.state.value.lower().replace("_", " ")
    return Succeeded(f"{payment.reference} {words}", status)


def _failed(payment: ProviderPayment) -> Refused:
    refusal = payment.refusal
    why = f" ({refusal.message})" if refusal is not None else ""
    return Refused(REFUND_FAILED, f"The provider could not give the money back{why}.", key_spent=True)


def _at_odds(payment: ProviderPayment, known: PaymentStatus) -> Refused:
    code, shown = "PAYMENT_NOT_CAPTURED", f"shows it as {payment.state.value}"
    if payment.state is ProviderState.ABSENT:
        code, shown = PAYMENT_UNKNOWN, "does not know it"
    return Refused(
        code,
        f"Our books say that {payment.reference} was {known.value}, and the provider {shown}: look for the money "
        "in the account, or the sandbox's books, that it was taken with.",
    )


def _not_yet(outcome: Outcome) -> Outcome:
    """A refusal to undo may pass, except if the provider does not know the payment: an operator must hear of that."""
    if isinstance(outcome, Refused):
        passing = outcome.code != PAYMENT_UNKNOWN
        return Refused(outcome.code, outcome.message, passing=passing, key_spent=outcome.key_spent)
    return outcome
