"""The one function that undoes money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.payments.gateway import PaymentGateway, ProviderPayment, ProviderState
from domain.payments.states import PaymentStatus

__all__ = ["ensure_no_charge"]

LOOKS_MAX: Final = 4
#: What the provider cannot show, given what we know that it did: then it is another provider's account, or other books.
_AT_ODDS: Final[Mapping[PaymentStatus, frozenset[ProviderState]]] = {
    PaymentStatus.AUTHORIZED: frozenset({ProviderState.ABSENT}),
    PaymentStatus.CAPTURED: frozenset(set(ProviderState) - {ProviderState.CAPTURED, ProviderState.REFUNDED}),
}


async def ensure_no_charge(
    gateway: PaymentGateway, reference: str | None, key: Callable[[str], str], *, known: PaymentStatus
) -> Outcome:
    """Make sure that nothing is, or later comes to be, charged on `reference`, whatever the provider has done.

    Succeeds with how it ended as data: VOIDED, also where there never was a reference, or
    REFUNDED. Voids what is not captured (also what the provider has not heard of yet, so that
    an authorization that arrives late is refused), refunds what is. What is undone already is a
    success. A state that changes between the look and the deed is looked at again, a few times.
    `key` gives the idempotency key of an operation.

    `known`: how far the money had certainly come, by our books. Where the provider shows less
    (it has never heard of money that was AUTHORIZED; it has not taken what was CAPTURED), nothing
    is done and the answer is a refusal: the money is somewhere that this provider does not show.
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
            case ProviderState.ABSENT | ProviderState.OPEN | ProviderState.AUTHORIZED:
                outcome, ended = await gateway.void(reference, key("void")), PaymentStatus.VOIDED
        if isinstance(outcome, Succeeded):
            return Succeeded(f"{reference} {ended.value.lower()}", ended)
        if isinstance(outcome, Unknown):
            return await _weigh(gateway, reference, outcome, payment.state)
    return _not_yet(outcome)


async def _weigh(gateway: PaymentGateway, reference: str, outcome: Unknown, before: ProviderState) -> Outcome:
    """After an answered fault, what the reference shows; the stored fault needs a new round."""
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
        code, shown = "PAYMENT_UNKNOWN", "has never heard of it"
    return Refused(
        code,
        f"Our books say that {payment.reference} was {known.value}, and the provider {shown}: look for the money "
        "in the account, or the sandbox's books, that it was taken with.",
        passing=True,
    )


def _not_yet(outcome: Outcome) -> Outcome:
    """A refusal to undo is never the last word."""
    if isinstance(outcome, Refused):
        return Refused(outcome.code, outcome.message, passing=True, key_spent=outcome.key_spent)
    return outcome
