"""The one function that undoes payments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments.gateway import PaymentGateway, ProviderPayment, ProviderState
from domain.payments.states import PaymentStatus

__all__ = ["ensure_no_charge"]

LOOKS_MAX: Final = 4
#: States that the provider cannot show after an effect that we know of: then it is another account or other books.
_AT_ODDS: Final[Mapping[PaymentStatus, frozenset[ProviderState]]] = {
    PaymentStatus.AUTHORIZED: frozenset({ProviderState.ABSENT}),
    PaymentStatus.CAPTURED: frozenset(set(ProviderState) - {ProviderState.CAPTURED, ProviderState.REFUNDED}),
}


async def ensure_no_charge(
    gateway: PaymentGateway, reference: str | None, key: Callable[[str], str], *, known: PaymentStatus
) -> Outcome:
    """Make sure that no money is, or later becomes, charged on `reference`, in any state at the provider.

    Succeeds with the result as data: VOIDED, also without any reference, or REFUNDED. It voids a
    payment that is not captured (also one that the provider does not know yet, or that the card's holder may
    still confirm: a late authorization is then refused), and refunds a captured one. A payment that is
    undone already is a success. If the state changes between the read and the operation, it is read
    again, a few times. `key` gives the idempotency key of an operation.

    `known`: the last state that is certain in our records. If the provider shows less (it does not know
    money that was AUTHORIZED; it has not taken money that was CAPTURED), nothing is done and the answer
    is a refusal: the money is at an account that this provider does not show.
    """
    if reference is None:
        return Succeeded("nothing was charged", PaymentStatus.VOIDED)
    outcome: Outcome = Unknown("UNRESOLVED", "The payment keeps changing.")
    for _ in range(LOOKS_MAX):
        found = await gateway.read(reference)
        if not isinstance(found, Succeeded):
            return _not_yet(found)
        payment: ProviderPayment = found.data
        if payment.state in _AT_ODDS.get(known, ()):
            return _at_odds(payment, known)
        match payment.state:
            case ProviderState.VOIDED:
                return Succeeded(f"{reference} voided", PaymentStatus.VOIDED)
            case ProviderState.REFUNDED:
                return Succeeded(f"{reference} refunded", PaymentStatus.REFUNDED)
            case ProviderState.CAPTURED:
                outcome, ended = await gateway.refund(reference, key("refund")), PaymentStatus.REFUNDED
            case ProviderState.ABSENT | ProviderState.OPEN | ProviderState.NEEDS_HOLDER | ProviderState.AUTHORIZED:
                outcome, ended = await gateway.void(reference, key("void")), PaymentStatus.VOIDED
        if isinstance(outcome, Succeeded):
            return Succeeded(f"{reference} {ended.value.lower()}", ended)
        if isinstance(outcome, NotSent):
            return outcome
        if isinstance(outcome, Unknown):
            return await _weigh(gateway, reference, outcome, payment.state)
    return _not_yet(outcome)


async def _weigh(gateway: PaymentGateway, reference: str, outcome: Unknown, before: ProviderState) -> Outcome:
    """The outcome after an answered fault, by the reference's state; the stored fault needs a new round."""
    if outcome.code != "PROVIDER_ERROR":
        return outcome
    found = await gateway.read(reference)
    if isinstance(found, Succeeded) and isinstance(found.data, ProviderPayment):
        if found.data.state is ProviderState.VOIDED:
            return Succeeded(f"{reference} voided", PaymentStatus.VOIDED)
        if found.data.state is ProviderState.REFUNDED:
            return Succeeded(f"{reference} refunded", PaymentStatus.REFUNDED)
        if found.data.state is before:
            return Refused(outcome.code, outcome.message, passing=True, key_spent=True)
    return outcome


def _at_odds(payment: ProviderPayment, known: PaymentStatus) -> Refused:
    code, shown = "PAYMENT_NOT_CAPTURED", f"shows it as {payment.state.value}"
    if payment.state is ProviderState.ABSENT:
        code, shown = "PAYMENT_UNKNOWN", "does not know it"
    return Refused(
        code,
        f"Our books say that {payment.reference} was {known.value}, and the provider {shown}: look for the money "
        "in the account, or the sandbox's books, that it was taken with.",
        passing=True,
    )


def _not_yet(outcome: Outcome) -> Outcome:
    """A refusal to undo is never final."""
    if isinstance(outcome, Refused):
        return Refused(outcome.code, outcome.message, passing=True, key_spent=outcome.key_spent)
    return outcome
